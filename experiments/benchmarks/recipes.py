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
from g_pt.corpus.generate import initial_parameters
from g_pt.tasks import classifiers


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--task", required=True)
  parser.add_argument("--runs", type=int, default=64)
  parser.add_argument("--data_dir", help="where TFDS keeps the images")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--plain", action="store_true", help="images as they are, without crops and flips")
  arguments = parser.parse_args()
  task = tasks.get(arguments.task)
  if arguments.plain:
    task = dataclasses.replace(task, batch=classifiers.random_minibatch)
  data = jax.device_put(task.load(arguments.data_dir))
  init_key, group_key = jax.random.split(jax.random.key(arguments.seed))
  keys = jax.random.split(init_key, arguments.runs)
  theta = jax.jit(functools.partial(initial_parameters, task))(keys)
  train = jax.jit(functools.partial(task.train_group, task, task.recipe))
  began = time.monotonic()
  rates = jnp.full(arguments.runs, task.recipe.learning_rate)
  saved = jnp.array([0, task.recipe.steps(data)])
  group = jax.device_get(train(data, theta, rates, group_key, saved))
  print(f"{task.name}: {arguments.runs} runs in {time.monotonic() - began:.0f} s by {dataclasses.asdict(task.recipe)}")
  for name, values in group.metrics.items():
    start, end = values.mean(axis=0)
    print(f"{name}: {start:.4g} -> {end:.4g} on average, {values[:, 1].min():.4g} to {values[:, 1].max():.4g}")


if __name__ == "__main__":
  main()
