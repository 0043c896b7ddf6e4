"""What the recipes of all tasks share: how a learning rate falls."""

from __future__ import annotations

from jaxtyping import Array, Float
import numpy as np

from g_pt.tasks.base import Data, Recipe

SCHEDULES = ("cosine", "linear", "constant")


def falling(schedule: str, done: Float[np.ndarray, "step"]) -> Float[np.ndarray, "step"]:
  """Factors on the learning rate where that share of a run is done: half a cosine or a line from 1 to 0, or 1."""
  if schedule == "constant":
    return np.ones(done.shape, np.float32)
  if schedule == "linear":
    return (1 - done).astype(np.float32)
  return (0.5 * (1 + np.cos(np.pi * done))).astype(np.float32)


def check_decay(decay: Float[Array, "step"], recipe: Recipe, data: Data) -> None:
  """Raises ValueError where `decay` has another length than the recipe's runs."""
  steps = recipe.steps(data)
  if decay.shape[0] != steps:
    raise ValueError(f"decay: {decay.shape[0]} factors for {steps} steps; one a step is needed")
