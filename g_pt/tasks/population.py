"""Many networks at once: parameters stacked along a last axis, `run`; one network is a stack of one.

The run axis is the one that a CPU's vectors, and a TPU's lanes, run along, see
g_pt.tasks.stacked. Supervised and reinforcement tasks alike are trained and
measured here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from g_pt.parameters import ParameterSpec
from g_pt.tasks.base import Data, Judged, Numbers, Recipe, Stacked, Task


class RunGroup(NamedTuple):
  """What a group of training runs leaves behind."""

  theta: Float[Array, "run checkpoint parameter"]
  metrics: dict[str, Float[Array, "run checkpoint"]]


def stack(spec: ParameterSpec, theta: Float[Array, "run parameter"]) -> Stacked:
  """Flat networks as stacked parameters."""
  return jax.vmap(spec.unflatten, out_axes=-1)(theta)


def flatten(spec: ParameterSpec, stacked: Stacked) -> Float[Array, "run parameter"]:
  """The exact inverse of `stack`."""
  return jax.vmap(spec.flatten, in_axes=-1)(stacked)


def by_vmap(function: Callable[..., Any]) -> Callable[..., Any]:
  """From a function of one network's parameters, and of further arguments, to the same of stacked parameters.

  The networks share the further arguments; every result has the run axis last.
  """

  def of_many(stacked: Stacked, *shared):
    return jax.vmap(lambda parameters: function(parameters, *shared), in_axes=-1, out_axes=-1)(stacked)

  return of_many


def evaluate(task: Task, theta: Float[Array, "run parameter"], judged: Judged) -> Numbers:
  """Every number of many networks."""
  return task.measurement.evaluate(stack(task.spec, theta), judged)


def evaluate_runs(
  task: Task, theta: Float[Array, "run checkpoint parameter"], judged: Judged
) -> dict[str, Float[Array, "run checkpoint"]]:
  """Every number of many runs, a checkpoint at a time."""
  numbers = lax.map(lambda group: evaluate(task, group, judged), jnp.swapaxes(theta, 0, 1))
  return {name: value.T for name, value in numbers.items()}


def train_and_measure(
  task: Task,
  recipe: Recipe,
  data: Data,
  initial: Float[Array, "run parameter"],
  learning_rate: Float[Array, "run"],
  decay: Float[Array, "step"],
  key: Array,
  saved: Int[Array, "checkpoint"],
) -> RunGroup:
  """The runs of `task.training.run`, each checkpoint measured on the part `recorded`; of a family, on their own set."""
  data = task.data_of(data, key)
  theta = task.training.run(recipe, data, initial, learning_rate, decay, key, saved)
  theta = jnp.swapaxes(theta, 0, 1)
  return RunGroup(theta, evaluate_runs(task, theta, task.measurement.part(data, recipe, "recorded")))
