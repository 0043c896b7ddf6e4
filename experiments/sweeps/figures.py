"""A section an axis: what is lost of alignment, where one update ends, and the published curve where there is one."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from experiments.sweeps.base import Published, short
from experiments.sweeps.scaling import Fitted, Study, X, abscissae
from g_pt import words
from g_pt.report import marks
from g_pt.report.base import Section


def sections(study: Study, method: str) -> list[Section]:
  """By axis, then how slopes are fitted."""
  drawn = [section(study, axis) for axis in study.axes if len(study.on(axis)) > 1]
  return [*drawn, Section("How slopes are fitted", method)]


def section(study: Study, axis: str) -> Section:
  x = abscissae(axis)[0]
  figures = {"Lost alignment": lost(study, axis, x), "After one update": one_update(study, axis, x)}
  if axis in study.published:
    figures["Beside the published curve"] = beside(study, axis, study.published[axis])
  return Section(f"More {X[x]}", _caption(study, axis, x), figures, wide=False)


def lost(study: Study, axis: str, x: str) -> go.Figure:
  """1 - R² on both parts, and the power law of the recorded one."""
  figure = _empty(x, "1 - R² of prompt alignment (logarithmic)")
  values, recorded = study.curve(axis, x, "lost")
  final = np.array([1 - row.alignment["final"] for row in study.on(axis)])
  for part, y, colour in (("recorded", recorded, marks.GPT), ("final", final, marks.TRAINING_RUNS)):
    line = {"color": colour, "width": 2.5}
    figure.add_trace(marks.line(values, y, words.PARTS[part], line, "lines+markers"))
  fitted = next(fitted for fitted in study.fits if (fitted.axis, fitted.x, fitted.y) == (short(axis), x, "lost"))
  if fitted.slope is not None:
    law = fitted.slope.factor * values**fitted.slope.slope
    line = {"color": marks.NEUTRAL, "dash": "dash", "width": 1.5}
    figure.add_trace(marks.line(values, law, f"slope {fitted.slope.slope:.2f}, recorded data", line))
  figure.update_yaxes(type="log", **_round_ticks(np.concatenate([recorded, final])))
  return figure


def one_update(study: Study, axis: str, x: str) -> go.Figure:
  """Where fresh networks end, and where the training runs do."""
  rows = study.on(axis)
  figure = _empty(x, study.view.metric.label)
  values = [getattr(row, x) for row in rows]
  line = {"color": marks.GPT, "width": 2.5}
  figure.add_trace(marks.line(values, [row.one_update for row in rows], "after one update", line, "lines+markers"))
  line = {"color": marks.NEUTRAL, "dash": "dash", "width": 1.5}
  figure.add_trace(marks.line(values, [row.run_ends for row in rows], "ends of training runs", line))
  return figure


def beside(study: Study, axis: str, published: Published) -> go.Figure:
  """Prompt alignment by the axis's own value, ours and theirs."""
  rows = study.on(axis)
  # Where no setting says how many are used, all are.
  values = [row.settings[axis] or getattr(row, abscissae(axis)[0]) for row in rows]
  figure = marks.empty(f"{short(axis).replace('_', ' ')} (logarithmic)", "prompt alignment, test runs")
  marks.level(figure, 1.0, "perfect", "bottom left")
  line = {"color": marks.GPT, "width": 2.5}
  ours = [row.alignment["recorded"] for row in rows]
  figure.add_trace(marks.line(values, ours, "here", line, "lines+markers"))
  line = {"color": marks.NEUTRAL, "width": 2.5}
  figure.add_trace(marks.line(published.values, published.alignment, published.title, line, "lines+markers"))
  return figure.update_xaxes(type="log")


def _caption(study: Study, axis: str, x: str) -> str:
  slopes = [_in_words(fitted) for fitted in study.fits if fitted.axis == short(axis) and fitted.slope is not None]
  first = f"Along {axis}, everything else as in the experiment."
  return " ".join([first, *slopes])


def _in_words(fitted: Fitted) -> str:
  slope = fitted.slope
  assert slope is not None  # those without are not told of
  name = "1 - R²" if fitted.y == "lost" else "The excess over run ends"
  return (
    f"{name} goes as the {slope.slope:.3f} (standard error {slope.standard_error:.3f}) power of "
    f"{X[fitted.x]}, by {slope.points} points."
  )


def _empty(x: str, y_title: str) -> go.Figure:
  return marks.empty(f"{X[x]} (logarithmic)", y_title).update_xaxes(type="log")


def _round_ticks(values: np.ndarray) -> dict:
  """Round numbers where a few of them lie in the figure; else plotly's own."""
  ticks = marks.ticks(float(values.min()), float(values.max()))
  return {"tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]} if len(ticks) > 1 else {}
