"""Axes of a metric, which what is far off or not finite leaves; and how many kinds of things are told apart."""

from __future__ import annotations

from collections.abc import Iterable

from jaxtyping import Float
import numpy as np
import plotly.graph_objects as go

from g_pt.report import marks
from g_pt.tasks.base import Metric

# (colour, dash, symbol), with the contrast of the colours of `marks`.
STYLES = (
  ("#0E9A73", "solid", "square"),
  ("#3A8FC7", "dash", "circle"),
  ("#B2589A", "dashdot", "cross"),
  ("#A67C00", "longdash", "triangle-up"),
  (marks.NEUTRAL, "dot", "x"),
  ("#7D6BD1", "longdashdot", "triangle-down"),
  ("#5F8A00", "dot", "star"),
)


def styles(count: int) -> list[tuple[str, str, str]]:
  """As many as there are things to tell apart, beside what has the colour of G.pt."""
  return [STYLES[i % len(STYLES)] for i in range(count)]


def without_outliers(
  values: Float[np.ndarray, "value"], start: float, higher_is_better: bool, beyond: float = 0.25
) -> tuple[float, float]:
  """An axis from the best value to a little beyond the start; what diverges leaves it.

  `beyond` is a share of the way between the two. ValueError where no value is finite.
  """
  values = values[np.isfinite(values)]
  if not values.size:
    raise ValueError("no value is finite")
  best = float(values.max() if higher_is_better else values.min())
  worst = float(values.min() if higher_is_better else values.max())
  span = abs(start - best) or 1.0
  sign = 1.0 if higher_is_better else -1.0
  worst = start - sign * min(abs(worst - start), beyond * span)
  low, high = sorted((best + sign * 0.06 * span, worst - sign * 0.06 * span))
  return low, high


def common_range(*values: Float[np.ndarray, "..."]) -> tuple[float, float]:
  """An axis that holds all but the outermost half percent at each end, with a margin."""
  everything = np.concatenate([part.ravel() for part in values])
  everything = everything[np.isfinite(everything)]
  if not everything.size:
    return 0.0, 1.0
  low, high = np.quantile(everything, [0.005, 0.995])
  margin = 0.04 * (high - low) or 1.0
  return float(low - margin), float(high + margin)


def fit(
  figure: go.Figure, values: Iterable[Float[np.ndarray, "..."]], start: float, metric: Metric, beyond: float = 0.25
) -> go.Figure:
  """The metric's axis from the best of `values` to a little beyond `start`, logarithmic where that is far.

  A start that is not finite is taken to be the median.
  """
  everything = _finite(values)
  if not everything.size:
    return figure.update_yaxes(range=(0.0, 1.0))
  start = start if np.isfinite(start) else float(np.median(everything))
  if not _by_ratio(float(everything.min()), start, metric):
    return figure.update_yaxes(range=without_outliers(everything, start, metric.higher_is_better, beyond))
  return _logarithmic(figure, without_outliers(np.log10(everything), float(np.log10(start)), False, beyond))


def hold(figure: go.Figure, values: Iterable[Float[np.ndarray, "..."]], metric: Metric) -> go.Figure:
  """The metric's axis with all but the outermost of `values`, logarithmic where they lie far apart."""
  everything = _finite(values)
  if not everything.size or not _by_ratio(float(everything.min()), float(np.quantile(everything, 0.995)), metric):
    return figure.update_yaxes(range=common_range(everything))
  return _logarithmic(figure, common_range(np.log10(everything)))


def ends(figure: go.Figure) -> tuple[float, float]:
  """Lowest and highest value on the axis of a metric that one of these functions has set."""
  low, high = figure.layout.yaxis.range
  return (10**low, 10**high) if figure.layout.yaxis.type == "log" else (low, high)


def counts(figure: go.Figure, shown: Iterable[int]) -> go.Figure:
  """A logarithmic x axis of whole numbers, each of them named."""
  shown = sorted(set(shown))
  span = [float(np.log10(shown[0] * 0.85)), float(np.log10(shown[-1] * 1.18))]
  return figure.update_xaxes(type="log", range=span, tickvals=shown, ticktext=[f"{count:,}" for count in shown])


def _finite(values: Iterable[Float[np.ndarray, "..."]]) -> Float[np.ndarray, "value"]:
  everything = np.concatenate([np.ravel(part) for part in values]).astype(np.float64)
  return everything[np.isfinite(everything)]


def _by_ratio(lowest: float, highest: float, metric: Metric) -> bool:
  """Whether values go so far down, towards a best of 0, that a linear axis would show them all alike."""
  return bool(not metric.higher_is_better and 0 < 8 * lowest < highest)


def _logarithmic(figure: go.Figure, exponents: tuple[float, float]) -> go.Figure:
  low, high = exponents
  shown = marks.ticks(10**low, 10**high, (1, 2, 5) if high - low < 2.5 else (1,))
  text = [f"{tick:g}" for tick in shown]
  figure.layout.yaxis.title.text += " (logarithmic)"
  return figure.update_yaxes(type="log", range=[low, high], tickvals=shown, ticktext=text)
