"""Curves of training runs: the combinations that make them, where they are measured, when they reach a level."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Float, Int
import numpy as np

from g_pt.tasks.base import Metric

# Shares of the recipe's steps after which a cosine has taken the learning rate to 0; infinite: the rate is constant.
DECAYS = (math.inf, 1.0, 0.5, 0.25, 0.125)
LEVELS = 24  # of each metric that an optimizer is tuned for
EASIEST = 0.25  # share of the way from the start to the best, in the metric's coordinate, without a level
TIE = 1.02  # ratio of crossings that are alike


class Curves(NamedTuple):
  """Runs of the same networks by several combinations of a learning rate and a decay."""

  learning_rate: Float[np.ndarray, "combination"]
  decay: Float[np.ndarray, "combination"]  # of DECAYS
  step: Int[np.ndarray, "combination point"]  # 0 first; of a short run the last step may be there again and again
  numbers: dict[str, dict[str, Float[np.ndarray, "combination net point"]]]  # by part of the data, by metric

  def mean(self, part: str, metric: str) -> Float[np.ndarray, "combination point"]:
    """Over networks."""
    return self.numbers[part][metric].astype(np.float64).mean(axis=1)


def grid_rate(index: int) -> float:
  """The grid of learning rates: ..., 0.1, 0.3, 1 (index 0), 3, ..."""
  return float(f"{(1, 3)[index % 2]}e{index // 2}")


def grid_index(rate: float) -> int:
  """Index of the rate of the grid that is nearest in log(rate)."""
  return round(2 * math.log10(rate))


def cosine(steps: int, decay: float) -> Float[np.ndarray, "step"]:
  """Factors on the learning rate, step by step from 1 to 0 over that share of the steps, and 0 from there on."""
  share = np.minimum(np.arange(steps) / (decay * steps), 1)
  return (0.5 * (1 + np.cos(np.pi * share))).astype(np.float32)


def length(steps: int, decay: float) -> int:
  """How many of the steps a run is worth: nothing moves once its cosine is 0."""
  return steps if math.isinf(decay) else math.ceil(decay * steps)


def log_points(steps: int, count: int) -> Int[np.ndarray, "point"]:
  """0 and `count` steps evenly spaced in log(step), early ones one by one; too few steps are filled up by the last."""
  spaced = np.round(np.geomspace(1, steps, count))
  rising = np.minimum(np.maximum(spaced, np.arange(1, count + 1)), steps)
  return np.concatenate([[0], rising]).astype(np.int32)


def crossing(
  step: Int[np.ndarray, "... point"],
  mean: Float[np.ndarray, "... point"],
  level: Float[np.ndarray, "..."] | float,
  higher_is_better: bool,
) -> Float[np.ndarray, "..."]:
  """The first step at which curves are as good as their levels, between two points linear in log(step).

  Up to the first point after step 0 it is linear in the step. 0 where a curve is
  as good from the start, NaN where it never is; a point that is not finite is
  as good as nothing.
  """
  sign = 1.0 if higher_is_better else -1.0
  gain = np.where(np.isfinite(mean), sign * np.asarray(mean, np.float64), -np.inf)
  wanted = sign * np.asarray(level, np.float64)
  reached = gain >= wanted[..., None]
  first = np.argmax(reached, axis=-1)
  before = np.maximum(first - 1, 0)

  def at(values, index):
    return np.take_along_axis(np.broadcast_to(values, reached.shape), index[..., None], axis=-1)[..., 0]

  low, high, start, end = at(gain, before), at(gain, first), at(step, before), at(step, first)
  with np.errstate(divide="ignore", invalid="ignore"):
    share = np.where(np.isfinite(low), (wanted - low) / (high - low), 1.0)
    between = np.where(start > 0, start * (end / start) ** share, end * share)
  return np.where(reached.any(axis=-1), np.where(first > 0, between, 0.0), np.nan)


def levels(metric: Metric, mean: Float[np.ndarray, "combination point"]) -> Float[np.ndarray, "level"]:
  """Even in the metric's coordinate, the last of them the best of any curve; all alike where no curve gets better."""
  start, best = mean[0, 0], mean.flat[np.argmax(metric.gain(mean))]
  values = np.linspace(start, best, 1001)
  coordinate = np.asarray(metric.coordinate(jnp.asarray(values, jnp.float32)), np.float64)
  # Up from 0, whichever way the metric goes: the share of the way.
  share = np.abs(coordinate - coordinate[0])
  return np.interp(np.linspace(EASIEST, 1, LEVELS) * share[-1], share, values)


def fewest_best(crossings: Float[np.ndarray, "level combination"]) -> Int[np.ndarray, "best"]:
  """The fewest combinations, found greedily, one of which is the first to cross each level, or ties with the first.

  NaN: it never crosses. Some combination crosses each level.
  """
  first = crossings <= TIE * np.nanmin(crossings, axis=1, keepdims=True)
  best = []
  while len(first):
    best.append(int(np.argmax(first.sum(axis=0))))
    first = first[~first[:, best[-1]]]
  return np.array(sorted(best), np.int64)
