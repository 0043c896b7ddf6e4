"""How fast runs are trained: populations, one run at a time, and a tight PyTorch loop, in one process after another.

  command   python -m experiments.benchmarks.corpus [--tasks=mnist,cifar10,cartpole] [--data_dir=DIR] [--out=FILE.json]

Every figure is the median of a few short stretches of the published recipe
(for Cartpole that of experiments/cartpole_return.py), scaled to whole runs. FLOP/s
count the multiplications and additions of the recipe's matrix products and
convolutions alone, forward and backward, and their fraction of the peak is
that of a large matrix product measured in the same process. PyTorch, where
it is installed (extra `torch`), has one process a core.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib.util
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp

from experiments import cartpole_return
from experiments.benchmarks import measure
from g_pt import config, tasks
from g_pt.corpus.generate import groups_at_once, initial_parameters, side_by_side
from g_pt.tasks import population as networks
from g_pt.tasks.base import Task

GROUP_SIZE = {"mnist": 64, "cifar10": 16, "cartpole": 64}
# Steps of a stretch: minibatches, or iterations of PPO.
STRETCH = {"mnist": 400, "cifar10": 60, "cartpole": 20}
REPEATS = 5
# A product of weights takes 2 FLOP each and example, forward, for the weights' gradient, and for the input's.
_WEIGHTS = {"mnist": (784 * 10, 10 * 10), "cifar10": (256 * 27 * 16, 256 * 144 * 32 + 32 * 10)}


def flop_of_step(task: Task, recipe: Any) -> float:
  """Of one run: a minibatch, or an iteration of PPO."""
  if task.name != "cartpole":
    first, others = _WEIGHTS[task.name]
    return recipe.batch_size * 2 * (2 * first + 3 * others)
  first, actor, critic = 4 * 32, 32 * 32 + 32 * 2, 32 * 32 + 32
  acting = 2 * (first + actor) + 2 * 2 * (first + critic)  # the critic sees each state and the next one
  learning = 2 * (2 * 2 * first + 3 * (actor + critic))
  return recipe.environments * recipe.horizon * (acting + recipe.epochs * learning)


def flop_of_evaluation(task: Task, judged: Any) -> float:
  """Of one checkpoint of a classifier."""
  examples = sum(len(split.labels) for split in judged.splits.values())
  return 2.0 * sum(_WEIGHTS[task.name]) * examples


def stretch_of(task: Task, recipe: Any, data: Any) -> Any:
  """(recipe, data, steps) of a short run that does what the whole one does."""
  steps = STRETCH[task.name]
  if task.name == "cartpole":
    return dataclasses.replace(recipe, iterations=steps), data, steps
  first = jax.tree.map(lambda x: x[: steps * recipe.batch_size], data.train)
  data = data._replace(train=first)
  return dataclasses.replace(recipe, epochs=1), data, steps


def population(task: Task, recipe: Any, data: Any, runs: int, at_once: int) -> float:
  """Seconds of a run's step, by groups of `runs`, `at_once` of them side by side."""
  recipe, data, steps = stretch_of(task, recipe, data)
  data, saved = jax.device_put(data), jnp.array([0, steps])
  theta = jax.jit(functools.partial(initial_parameters, task))(jax.random.split(jax.random.key(0), runs))
  rates, decay = jnp.full(runs, recipe.learning_rate), jnp.asarray(recipe.decay(data))
  compiled = jax.jit(functools.partial(task.training.run, recipe))

  def train(i: int) -> jax.Array:
    return jax.block_until_ready(compiled(data, theta, rates, decay, jax.random.key(i), saved))

  def groups():
    return list(side_by_side(train, range(at_once), at_once))

  return measure.seconds(groups, REPEATS) / (runs * at_once * steps)


def evaluation(task: Task, judged: Any, runs: int, at_once: int) -> float:
  """Seconds of measuring one checkpoint."""
  judged = jax.device_put(judged)
  theta = jax.jit(functools.partial(initial_parameters, task))(jax.random.split(jax.random.key(0), runs))
  evaluate = jax.jit(functools.partial(networks.evaluate, task))

  def groups():
    return list(side_by_side(lambda _: jax.block_until_ready(evaluate(theta, judged)), range(at_once), at_once))

  return measure.seconds(groups, 3) / (runs * at_once)


def pytorch(task: Task, recipe: Any, data_dir: str | None) -> float | None:
  """Seconds of a run's step, one process a core side by side; None without PyTorch."""
  if importlib.util.find_spec("torch") is None:
    return None
  cores = os.cpu_count() or 1
  recipe, _, steps = stretch_of(task, recipe, task.load(data_dir))
  arguments = {"task": task.name, "steps": steps, "repeats": REPEATS, "recipe": dataclasses.asdict(recipe)}
  command = [sys.executable, "-m", "experiments.benchmarks.pytorch_runs", json.dumps(arguments)]
  pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
  processes = [subprocess.Popen(command, **pipes) for _ in range(cores)]
  for process in processes:
    process.stdout.readline()  # warm
  for process in processes:
    process.stdin.write("go\n")
    process.stdin.flush()
  times = [float(process.communicate()[0]) for process in processes]
  return sum(times) / len(times) / (steps * cores)


def measured(task: Task, recipe: Any, data_dir: str | None) -> dict[str, Any]:
  data = task.load(data_dir)
  steps, runs, at_once = recipe.steps(data), GROUP_SIZE[task.name], groups_at_once()
  flop = flop_of_step(task, recipe)
  step = {
    "population": population(task, recipe, data, runs, at_once),
    "one at a time, JAX": population(task, recipe, data, 1, 1),
    "PyTorch": pytorch(task, recipe, data_dir),
  }
  peak = measure.peak()
  result = {
    "peak_flop_per_second": peak,
    "group_size": runs,
    "groups_at_once": at_once,
    "runs_per_second": {name: 1 / (steps * s) for name, s in step.items() if s},
    "flop_per_second": {name: flop / s for name, s in step.items() if s},
    "fraction_of_peak": {name: flop / s / peak for name, s in step.items() if s},
  }
  if task.name == "cartpole":
    acted = recipe.environments * recipe.horizon
    return result | {"environment_steps_per_second": {name: acted / s for name, s in step.items() if s}}
  part = task.measurement.part(data, recipe, "recorded")
  one = evaluation(task, part, runs, at_once)
  total = steps * step["population"] + one * 200
  whole = (steps * flop + 200 * flop_of_evaluation(task, part)) / total
  return result | {
    "checkpoints_per_second": 1 / one,
    "evaluation_fraction_of_peak": flop_of_evaluation(task, part) / one / peak,
    "with_200_checkpoints": {"runs_per_second": 1 / total, "fraction_of_peak": whole / peak},
  }


def rows(name: str, result: dict[str, Any]) -> list[list[str]]:
  lines = []
  for way, runs in result["runs_per_second"].items():
    ratio = result["runs_per_second"]["population"] / runs
    flop, fraction = result["flop_per_second"][way], result["fraction_of_peak"][way]
    lines.append([f"{name}, {way}", f"{runs:.4g}", f"{flop / 1e9:.1f}", f"{fraction:.0%}", f"{ratio:.1f}"])
  if "with_200_checkpoints" in result:
    whole = result["with_200_checkpoints"]
    fraction = f"{whole['fraction_of_peak']:.0%}"
    gigaflops = f"{whole['fraction_of_peak'] * result['peak_flop_per_second'] / 1e9:.1f}"
    lines.append([f"{name}, 200 checkpoints measured, too", f"{whole['runs_per_second']:.4g}", gigaflops, fraction, ""])
  return lines


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("--tasks", default="mnist,cifar10,cartpole")
  parser.add_argument("--data_dir", help="where TFDS keeps the images")
  parser.add_argument("--out", type=Path, help="JSON file to write")
  arguments = parser.parse_args()
  results, lines = {}, []
  for name in arguments.tasks.split(","):
    task = tasks.get(name)
    recipe = task.training.recipe
    if name == "cartpole":
      recipe = config.parse(cartpole_return.get_config().to_dict()).recipe
    results[name] = measured(task, recipe, arguments.data_dir)
    lines += rows(name, results[name])
    print(f"{name}: {json.dumps(results[name])}", file=sys.stderr)
  print(measure.table(["", "runs/s", "GFLOP/s", "of peak", "population is faster"], lines))
  for name, result in results.items():
    print(f"{name}: matrix-product peak {result['peak_flop_per_second'] / 1e9:.0f} GFLOP/s", end="")
    if "checkpoints_per_second" in result:
      print(f"; {result['checkpoints_per_second']:.3g} checkpoints/s measured", end="")
    if "environment_steps_per_second" in result:
      print("; environment steps/s:", {k: round(v) for k, v in result["environment_steps_per_second"].items()}, end="")
    print()
  if arguments.out:
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
  main()
