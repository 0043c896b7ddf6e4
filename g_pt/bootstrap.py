"""How far a number would move with other networks: percentile intervals by resampling them (Efron 1979)."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float, Int
import numpy as np

LEVEL = 0.9  # share of the resamples that lie inside an interval
_RESAMPLES = 1000
_SEED = 0  # the same networks are resampled in the same way every time


def resamples(networks: int) -> Int[np.ndarray, "resample net"]:
  """Networks by number, drawn with replacement, a row a resample; always the same."""
  return np.random.default_rng(_SEED).integers(0, networks, (_RESAMPLES, networks))


def interval(
  statistic: Callable[[Int[np.ndarray, "resample net"]], Float[np.ndarray, "resample"]], networks: int
) -> list[float | None]:
  """[low, high] of a statistic of the networks, 90 % by percentiles.

  `statistic` takes networks by number, drawn with replacement, a row a
  resample; what it indexes by one row stays paired. Where it is NaN there is no
  such number, which counts as above all others: an end that falls there is None.
  """
  values = np.asarray(statistic(resamples(networks)), np.float64)
  values = np.where(np.isnan(values), np.inf, values)
  # A value that occurs, not one between two: between a number and infinity there is none.
  ends = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
  return [float(end) if np.isfinite(end) else None for end in ends]


def mean_interval(values: Float[np.ndarray, "net"]) -> list[float | None]:
  """[low, high] of the mean over networks."""
  return interval(lambda drawn: values[drawn].mean(axis=1), len(values))
