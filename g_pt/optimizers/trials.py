"""Trials of an optimizer: groups of runs by one learning rate and decay, measured along the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

from g_pt import keys
from g_pt.corpus.generate import groups_at_once, side_by_side
from g_pt.optimizers import curves
from g_pt.optimizers.curves import Curves
from g_pt.tasks import population
from g_pt.tasks.base import SHARED_PARTS, Data, Judged, Recipe, Task


class Trial(NamedTuple):
  """A group of runs by one combination."""

  initial: Float[Array, "run parameter"]
  learning_rate: float
  decay: float
  key: Array
  parts: tuple[str, ...]  # that it is measured on


class Runner:
  """Runs the trials of one optimizer, all by one program: groups are of one size, curves of one number of points."""

  def __init__(self, task: Task, recipe: Recipe, data: Data, group: int, points: int, measure: Callable[..., Any]):
    self.recipe, self.group, self._points, self._measure = recipe, group, points, measure
    self._data, self._steps = data, recipe.steps(data)
    self._judged = {part: task.measurement.part(data, recipe, part) for part in SHARED_PARTS}
    example = Trial(jnp.zeros((self.group, task.spec.size)), 1.0, math.inf, jax.random.key(0), ())
    self._train = jax.jit(functools.partial(task.training.run, recipe)).lower(*self._arguments(example)).compile()

  def points(self, decay: float) -> Int[np.ndarray, "point"]:
    """The steps after which a run by that decay is measured."""
    return curves.log_points(curves.length(self._steps, decay), self._points)

  def _arguments(self, trial: Trial) -> tuple[Any, ...]:
    rates = jnp.full(self.group, trial.learning_rate, jnp.float32)
    decay, saved = curves.cosine(self._steps, trial.decay), self.points(trial.decay)
    return self._data, trial.initial, rates, jnp.asarray(decay), trial.key, jnp.asarray(saved)

  def __call__(self, trial: Trial) -> dict[str, dict[str, Float[np.ndarray, "run point"]]]:
    """By part, by metric."""
    theta = self._train(*self._arguments(trial))
    numbers = {part: self._measure(theta, self._judged[part]) for part in trial.parts}
    return jax.tree.map(lambda x: np.asarray(x).T, numbers)


def measure(
  task: Task, theta: Float[Array, "point run parameter"], judged: Judged
) -> dict[str, Float[Array, "point run"]]:
  """The metrics alone: the other numbers, of training examples for instance, would take most of the time."""

  def at_point(networks):
    numbers = population.evaluate(task, networks, judged)
    return {name: numbers[name] for name in task.measurement.metrics}

  return jax.lax.map(at_point, theta)


def run(
  runner: Runner,
  combinations: Sequence[tuple[float, float]],
  networks: Float[Array, "net parameter"],
  key: Array,
  parts: tuple[str, ...],
  done: Callable[[], Any],
) -> Curves:
  """The networks trained by each (learning rate, decay), all else alike; calls `done` after each group."""
  count, size = len(networks), runner.group
  groups = -(-count // size)
  networks = networks[jnp.arange(groups * size) % count]  # fills the last group
  trials = [
    Trial(networks[group * size : (group + 1) * size], rate, decay, keys.fold(key, group), parts)
    for rate, decay in combinations
    for group in range(groups)
  ]
  results = []
  for result in side_by_side(runner, trials, groups_at_once()):
    results.append(result)
    done()

  def joined(*groups_of_runs):
    points = groups_of_runs[0].shape[-1]
    return np.concatenate(groups_of_runs).reshape(len(combinations), groups * size, points)[:, :count]

  rates, decays = np.array(combinations, np.float64).T
  return Curves(rates, decays, np.stack([runner.points(decay) for decay in decays]), jax.tree.map(joined, *results))
