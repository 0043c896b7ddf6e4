"""What the recipes of all tasks share: the limits of their fields, and how a learning rate falls.

A message names the field alone; the configuration adds where it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
import math

from jaxtyping import Array, Float
import numpy as np

from g_pt.tasks.base import Data, Recipe

SCHEDULES = ("cosine", "constant")


def at_least(minimum: int, recipe: object, *fields: str) -> None:
  """Raises ValueError where a field is less than that, or not finite."""
  for field in fields:
    value = getattr(recipe, field)
    if value < minimum:
      raise ValueError(f"{field}: {value} is less than {minimum}")
    _finite(field, value)


def positive(recipe: object, *fields: str) -> None:
  """Raises ValueError where a field is not greater than 0, or not finite."""
  for field in fields:
    value = getattr(recipe, field)
    if not value > 0:
      raise ValueError(f"{field}: {value} is not greater than 0")
    _finite(field, value)


def one_of(choices: Sequence[str], recipe: object, field: str) -> None:
  """Raises ValueError, naming the choices, where the field is none of them."""
  value = getattr(recipe, field)
  if value not in choices:
    raise ValueError(f"{field}: unknown {value!r}; it is one of: {', '.join(choices)}")


def _finite(field: str, value: float | int) -> None:
  if not math.isfinite(value):
    raise ValueError(f"{field}: {value} is not finite")


def falling(schedule: str, done: Float[np.ndarray, "step"]) -> Float[np.ndarray, "step"]:
  """Factors on the learning rate where that share of a run is done: half a cosine from 1 to 0, or 1."""
  if schedule == "constant":
    return np.ones(done.shape, np.float32)
  return (0.5 * (1 + np.cos(np.pi * done))).astype(np.float32)


def check_decay(decay: Float[Array, "step"], recipe: Recipe, data: Data) -> None:
  """Raises ValueError where `decay` has another length than the recipe's runs."""
  steps = recipe.steps(data)
  if decay.shape[0] != steps:
    raise ValueError(f"decay: {decay.shape[0]} factors for {steps} steps; one a step is needed")
