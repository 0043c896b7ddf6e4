"""Where the runs of a task's own recipe end, by default the published one: runs of one group, whole.

  command   python -m experiments.benchmarks.recipes --task=mnist --runs=64 [--data_dir=DIR] [--plain]
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import time

import jax
import jax.numpy as jnp

from g_pt import tasks
from g_pt.corpus.generate import initial_parameters, run_keys
from g_pt.keys import stream
from g_pt.tasks import population


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("--task", required=True)
  parser.add_argument("--runs", type=int, default=64)
  parser.add_argument("--data_dir", help="where TFDS keeps the images")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--plain", action="store_true", help="CIFAR-10 without crops and flips")
  arguments = parser.parse_args()
  task = tasks.get(arguments.task)
  recipe = task.training.recipe
  if arguments.plain:
    if task.name != "cifar10":
      parser.error("--plain: CIFAR-10 alone is augmented")
    recipe = dataclasses.replace(recipe, augment=False)
  data = jax.device_put(task.load(arguments.data_dir))
  theta = jax.jit(functools.partial(initial_parameters, task))(run_keys(arguments.seed, range(arguments.runs)))
  train = jax.jit(functools.partial(task.training.run, recipe))
  evaluate = jax.jit(functools.partial(population.evaluate, task))
  began = time.monotonic()
  rates, decay = jnp.full(arguments.runs, recipe.learning_rate), jnp.asarray(recipe.decay(data))
  saved = jnp.array([0, recipe.steps(data)])
  start, end = train(data, theta, rates, decay, stream(arguments.seed, "corpus", "group", 0), saved)
  print(f"{task.name}: {arguments.runs} runs in {time.monotonic() - began:.0f} s by {dataclasses.asdict(recipe)}")
  for part in task.measurement.parts:
    judged = task.measurement.part(data, recipe, part)
    before, after = (jax.device_get(evaluate(networks, judged)) for networks in (start, end))
    for name, values in after.items():
      span = f"{values.min():.4g} to {values.max():.4g}"
      print(f"{part} {name}: {before[name].mean():.4g} -> {values.mean():.4g} on average, {span}")


if __name__ == "__main__":
  main()
