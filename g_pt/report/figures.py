"""Plotly figures of the evaluation's arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Float, Int
import numpy as np
import plotly.graph_objects as go

from g_pt.report import marks, words
from g_pt.tasks.base import Metric

# After Okabe and Ito: told apart with any colour vision, with a contrast of 3 on white and on near-black.
TRAINING_RUNS = "#1F78B4"
GPT = "#D55E00"
_OPTIMIZERS = (
  ("#0E9A73", "solid"),
  ("#3A8FC7", "dash"),
  ("#B2589A", "dashdot"),
  ("#A67C00", "longdash"),
  (marks.NEUTRAL, "dot"),
)
_MIDDLE = (0.1, 0.9)  # quantiles of the bands over networks


class Curve(NamedTuple):
  """One optimizer's metric, and the first step at which its mean is as good as one update."""

  metric: Float[np.ndarray, "net point"]
  learning_rate: float
  steps_to_match: int | None


def alignment(
  prompted: Float[np.ndarray, "net prompt"],
  achieved: Float[np.ndarray, "net prompt"],
  metric: Metric,
  colour: str,
  drawn: int,
  shown: tuple[float, float],
) -> go.Figure:
  """Achieved against prompted: `drawn` networks one by one, their mean, a band, the identity.

  `shown` is the range of both axes.
  """
  x = prompted.mean(axis=0)
  figure = marks.empty(f"prompted {metric.label}", f"achieved {metric.label}")
  line = {"color": marks.NEUTRAL, "dash": "dash"}
  figure.add_trace(go.Scatter(x=shown, y=shown, mode="lines", name="perfect", line=line, hoverinfo="skip"))
  figure.add_trace(marks.bundle(prompted[:drawn], achieved[:drawn], "single networks", colour))
  figure.add_trace(marks.band(x, *_quantiles(achieved, _MIDDLE), colour, "middle 80 %", alpha=0.25))
  line = {"color": colour, "width": 3}
  hover = "prompted %{x:.3g}<br>achieved %{y:.3g}"
  figure.add_trace(marks.line(x, achieved.mean(axis=0), "mean", line, mode="lines+markers", hovertemplate=hover))
  figure.update_xaxes(range=shown).update_yaxes(range=shown)
  return figure.update_layout(hovermode="closest", height=marks.HEIGHT + 100)


def common_range(*values: Float[np.ndarray, "..."]) -> tuple[float, float]:
  """An axis that holds all but the outermost half percent at each end, with a margin."""
  everything = np.concatenate([part.ravel() for part in values])
  everything = everything[np.isfinite(everything)]
  if not everything.size:
    return 0.0, 1.0
  low, high = np.quantile(everything, [0.005, 0.995])
  margin = 0.04 * (high - low) or 1.0
  return float(low - margin), float(high + margin)


def one_update(
  start: Float[np.ndarray, "net"],
  achieved: Float[np.ndarray, "net"],
  step: Int[np.ndarray, "point"],
  curves: Mapping[str, Curve],
  metric: Metric,
) -> go.Figure:
  """Metric over optimizer steps, beside the level that one update reaches."""
  x, mean = marks.on_log(step), float(achieved.mean())
  figure = marks.empty("optimizer steps (logarithmic)", metric.label)
  for (name, curve), (colour, dash) in zip(curves.items(), _cycle(len(curves))):
    figure.add_trace(marks.band(x, *_quantiles(curve.metric, _MIDDLE), colour, name, alpha=0.1, legend=False))
    label = f"{words.optimizer(name)}, learning rate {words.setting(curve.learning_rate)}"
    line = {"color": colour, "dash": dash, "width": 2}
    figure.add_trace(marks.line(x, curve.metric.mean(axis=0), label, line, legendgroup=name))
  low, high = _quantiles(achieved, _MIDDLE)
  figure.add_trace(marks.band(x, np.full(x.shape, low), np.full(x.shape, high), GPT, "G.pt", alpha=0.2, legend=False))
  line = {"color": GPT, "width": 3}
  figure.add_trace(marks.line(x, np.full(x.shape, mean), "G.pt, one update", line, legendgroup="G.pt"))
  spread = {"array": [float(achieved.max()) - mean], "arrayminus": [mean - float(achieved.min())], "color": GPT}
  marker = {"symbol": "diamond", "size": 13, "color": GPT}
  figure.add_trace(marks.point(1.0, mean, marker, "G.pt", error_y=spread))
  marks.label(figure, 1.0, mean, f"one G.pt update: {words.number(mean)}", GPT, 34, metric)
  _mark_matches(figure, curves, mean, metric)
  marks.log_steps(figure, int(step[-1]))
  levels = [achieved, start, *(_quantiles(curve.metric, _MIDDLE).ravel() for curve in curves.values())]
  figure.update_yaxes(range=_without_outliers(np.concatenate(levels), float(start.mean()), metric))
  return figure.update_layout(height=marks.HEIGHT + 70, legend={"itemwidth": 40})


def probes(
  step: Int[np.ndarray, "probe"], score: Float[np.ndarray, "probe"], seconds: Float[np.ndarray, "probe"], prompts: int
) -> go.Figure:
  """Prompt alignment on held-out runs over training; `prompts` a network."""
  figure = marks.empty("training step of G.pt", "prompt alignment, unseen runs")
  marks.level(figure, 1.0, "perfect", "bottom left")
  unmoved = unmoved_score(prompts)
  if score.min() < unmoved + 0.5:
    marks.level(figure, unmoved, "networks left as they are", "bottom right")
  line = {"color": GPT, "width": 2.5}
  rest = {"customdata": _durations(seconds), "hovertemplate": "%{y:.3f} after %{customdata}", "showlegend": False}
  figure.add_trace(marks.line(step, score, "alignment", line, "lines+markers", **rest))
  return marks.plain_steps(figure)


def unmoved_score(prompts: int) -> float:
  """Prompt alignment of leaving every network as it is, for evenly spaced prompts up to its own metric."""
  return 1 - 2 * (2 * prompts - 1) / (prompts + 1)


def training_loss(
  step: Int[np.ndarray, "line"], loss: Float[np.ndarray, "line"], seconds: Float[np.ndarray, "line"]
) -> go.Figure:
  """What training descends, as logged and smoothed."""
  figure = marks.empty("training step of G.pt", "training loss (logarithmic)")
  span = len(loss) // 20
  line = {"color": marks.faded(TRAINING_RUNS, 0.45), "width": 1} if span > 1 else {"color": TRAINING_RUNS, "width": 2.5}
  rest = {"customdata": _durations(seconds), "hovertemplate": "%{y:.3g} after %{customdata}"}
  figure.add_trace(marks.line(step, loss, "as logged", line, **rest))
  if span > 1:
    smooth = np.convolve(loss, np.full(span, 1 / span), mode="valid")
    line = {"color": TRAINING_RUNS, "width": 2.5}
    middle = step[(span - 1) // 2 :][: smooth.size]
    figure.add_trace(marks.line(middle, smooth, f"mean of {span} neighbours", line))
  ticks = marks.ticks(float(loss.min()), float(loss.max()))
  if len(ticks) > 1:
    figure.update_yaxes(tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
  figure.update_yaxes(type="log")
  return marks.plain_steps(figure)


def corpus_over_steps(
  step: Int[np.ndarray, "checkpoint"],
  quantile: Float[np.ndarray, "3 checkpoint"],
  examples: Float[np.ndarray, "run checkpoint"],
  metric: Metric,
) -> go.Figure:
  """Metric of the corpus's checkpoints; `quantile` holds 5 %, the median and 95 % of runs."""
  x = marks.on_log(step)
  figure = marks.empty("training steps of a run (logarithmic)", metric.label)
  figure.add_trace(marks.band(x, quantile[0], quantile[2], TRAINING_RUNS, "90 % of runs", alpha=0.25))
  shown = np.broadcast_to(x, examples.shape)
  figure.add_trace(marks.bundle(shown, examples, f"{len(examples)} of the runs", TRAINING_RUNS))
  figure.add_trace(marks.line(x, quantile[1], "median", {"color": TRAINING_RUNS, "width": 3}))
  return marks.log_steps(figure, int(step[-1]))


def corpus_histogram(count: Int[np.ndarray, "bin"], edge: Float[np.ndarray, "bin+1"], metric: Metric) -> go.Figure:
  """How many of the training runs' checkpoints have which metric."""
  figure = marks.empty(metric.label, "checkpoints")
  text = [f"{words.number(float(low))} to {words.number(float(high))}" for low, high in zip(edge[:-1], edge[1:])]
  figure.add_trace(
    go.Bar(
      x=(edge[:-1] + edge[1:]) / 2,
      y=count,
      width=np.diff(edge),
      marker={"color": TRAINING_RUNS, "line": {"width": 0}},
      customdata=text,
      hovertemplate="%{customdata}: %{y:,} checkpoints<extra></extra>",
      showlegend=False,
    )
  )
  return figure.update_layout(bargap=0.04, hovermode="closest")


def _mark_matches(figure: go.Figure, curves: Mapping[str, Curve], mean: float, metric: Metric) -> None:
  """A ring where each optimizer's mean gets to the level `mean`, with its steps; labels on the side of worse values."""
  matched = [(curve.steps_to_match, name, i) for i, (name, curve) in enumerate(curves.items())]
  matched = sorted(entry for entry in matched if entry[0])  # as good before any step: no place to mark
  for rank, (steps, name, i) in enumerate(matched):
    colour = _cycle(i + 1)[i][0]
    x = float(marks.on_log(np.asarray([steps]))[0])
    ring = {"symbol": "circle", "size": 9, "color": colour, "line": {"width": 2, "color": "white"}}
    figure.add_trace(marks.point(x, mean, ring, name))
    # The earlier, the further away, so that no leader runs through another's label.
    away = 26 + 22 * (len(matched) - 1 - rank)
    text = f"{words.optimizer(name)}: {words.plural(steps, 'step')}"
    marks.label(figure, x, mean, text, colour, away, metric)


def _without_outliers(values: Float[np.ndarray, "value"], start: float, metric: Metric) -> tuple[float, float]:
  """An axis from the best value to a little beyond the start; diverging optimizers leave it."""
  values = values[np.isfinite(values)]
  best = float(values.max() if metric.higher_is_better else values.min())
  worst = float(values.min() if metric.higher_is_better else values.max())
  span = abs(start - best) or 1.0
  sign = 1.0 if metric.higher_is_better else -1.0
  worst = start - sign * min(abs(worst - start), 0.25 * span)
  low, high = sorted((best + sign * 0.06 * span, worst - sign * 0.06 * span))
  return low, high


def _durations(seconds: Float[np.ndarray, "point"]) -> list[str]:
  return [words.duration(value) for value in seconds]


def _quantiles(values: Float[np.ndarray, "net ..."], at: tuple[float, float]) -> Float[np.ndarray, "2 ..."]:
  return np.quantile(values, at, axis=0)


def _cycle(length: int) -> list[tuple[str, str]]:
  return [_OPTIMIZERS[i % len(_OPTIMIZERS)] for i in range(length)]
