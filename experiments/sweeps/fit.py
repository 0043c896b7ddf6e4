"""Slopes of power laws."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
import numpy as np


class Slope(NamedTuple):
  """y = factor * x ** slope, fitted to `points`."""

  slope: float
  standard_error: float
  factor: float
  points: int
  left_out: int  # points whose x or y has no logarithm


def power_law(x: Float[np.ndarray, "point"], y: Float[np.ndarray, "point"]) -> Slope | None:
  """Ordinary least squares of ln y on ln x; None where fewer than three points, or two different x, are left.

  The standard error is that of the slope, sqrt(RSS / (n - 2) / sum((ln x - mean)^2)):
  from how far the points lie off the line, all alike. Points at which x or y is not
  greater than 0 are left out.
  """
  x, y = (np.asarray(values, np.float64) for values in (x, y))
  sound = (x > 0) & (y > 0) & np.isfinite(x) & np.isfinite(y)
  log_x, log_y = np.log(x[sound]), np.log(y[sound])
  count = len(log_x)
  if count < 3 or np.ptp(log_x) == 0:
    return None
  centred = log_x - log_x.mean()
  spread = float(np.sum(centred**2))
  slope = float(np.sum(centred * log_y) / spread)
  residual = log_y - log_y.mean() - slope * centred
  error = float(np.sqrt(np.sum(residual**2) / (count - 2) / spread))
  factor = float(np.exp(log_y.mean() - slope * log_x.mean()))
  return Slope(slope, error, factor, count, len(x) - count)
