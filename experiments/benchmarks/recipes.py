"""Where the runs of a recipe end, by default the published one: runs of one group, whole.

  command   python -m experiments.benchmarks.recipes --task=mnist --runs=64 [--data_dir=DIR] [FIELD=VALUE ...]

FIELD=VALUE changes the task's recipe. What `experiments/cifar10_loss.py` takes was found so, two runs each:

  python -m experiments.benchmarks.recipes --task=cifar10 --runs=2 epochs=2 batch_size=32 schedule=linear \
      learning_rate=0.1 augment=false
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
import json
import time

import jax
import jax.numpy as jnp

from g_pt import command, tasks
from g_pt.corpus.generate import initial_parameters, run_keys
from g_pt.errors import ConfigError
from g_pt.fields import Fields
from g_pt.keys import stream
from g_pt.tasks import population
from g_pt.tasks.base import Recipe


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
  """The recipe with FIELD=VALUE, a value in JSON or a word. Raises ConfigError where there is no such field."""
  values = dataclasses.asdict(recipe)
  for change in changes:
    name, _, value = change.partition("=")
    if name not in values:
      raise ConfigError(f"{change}: a recipe of this task has the fields {', '.join(values)}")
    try:
      values[name] = json.loads(value)
    except ValueError:
      values[name] = value
  return Fields(values).whole(type(recipe))


def main(given: Sequence[str]) -> None:
  parser = command.Parser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("--task", required=True)
  parser.add_argument("--runs", type=int, default=64)
  parser.add_argument("--data_dir", help="where TFDS keeps the images")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("changes", nargs="*", metavar="FIELD=VALUE", help="changes of the recipe")
  arguments = parser.parse_args(given)
  task = tasks.get(arguments.task)
  recipe = changed(task.training.recipe, arguments.changes)
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
  command.run(main, "recipes")
