"""Hand-made steps that go on from one update, and from other starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxtyping import Float, Int
import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import axes, marks
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated
from g_pt.tasks.base import SHARED_PARTS, Metric

_UPDATE, _INITIAL = "update", "initial"


class Curve(NamedTuple):
  """The metric of networks over an optimizer's steps."""

  step: Int[np.ndarray, "point"]
  metric: Float[np.ndarray, "net point"]


def section(found: Evaluated, view: View) -> Section:
  drawn = {}
  for part in SHARED_PARTS:
    curves = {
      start: Curve(found.array(f"{start}.step"), found.array(f"{start}.{part}")) for start in found.summary["starts"]
    }
    title = words.on_part(f"{words.capital(view.metric.label)} over further steps", part)
    drawn[title] = figure(curves, found.summary["level"], view.metric)
  return Section("One update, and then steps by hand", _caption(found), drawn, wide=True)


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  del view
  summary = found.summary
  header = ("", "learning rate", "decay", "at step 0", "steps to the level", "mean over log(1 + step)", "best")
  made = []
  for part in SHARED_PARTS:
    rows = tuple(
      (label, words.setting(of["learning_rate"]), words.decay(of["decay"]), *_numbers(of[part], summary))
      for label, of in ((label, summary["starts"][start]) for start, label in _labels(summary["starts"]).items())
    )
    name = f"Further steps ({words.optimizer(summary['optimizer'])}, level {words.number(summary['level'])})"
    made.append(Table(words.on_part(name, part), header, rows))
  return tuple(made)


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  del found, view
  return ()


def figure(curves: Mapping[str, Curve], level: float, metric: Metric) -> go.Figure:
  """Metric over an optimizer's steps from each start, and the level that training runs end at."""
  drawn = marks.empty("optimizer steps (logarithmic)", metric.label)
  last = max(int(curve.step[-1]) for curve in curves.values())
  labels = _labels(curves)
  others = iter(axes.styles(len(curves)))
  for start, label in labels.items():
    colour, dash = (marks.GPT, "solid") if start == _UPDATE else next(others)[:2]
    step, values = curves[start]
    low, high = marks.middle(values)
    x = marks.on_log(step)
    drawn.add_trace(marks.band(x, low, high, colour, label, alpha=0.12, legend=False))
    line = {"color": colour, "dash": dash, "width": 3 if start == _UPDATE else 2}
    drawn.add_trace(marks.line(x, _mean(values), label, line, legendgroup=label))
  across = marks.on_log(np.asarray([0, last]))
  line = {"color": marks.NEUTRAL, "dash": "dash", "width": 1.5}
  name = f"end of a training run, {words.number(level)}"
  drawn.add_trace(marks.line(across, np.full(2, level), name, line, hoverinfo="skip"))
  marks.log_steps(drawn, last)
  begun = curves[_INITIAL if _INITIAL in curves else next(iter(labels))].metric[:, 0]
  means, bands = ([of(curve.metric) for curve in curves.values()] for of in (_mean, marks.middle))
  axes.fit(drawn, [*means, *bands, np.asarray([level])], float(begun.mean()), metric)
  return drawn.update_layout(height=marks.HEIGHT + 70, legend={"itemwidth": 40})


def _labels(starts: Mapping[str, Any]) -> dict[str, str]:
  return words.known(starts, words.STARTS)


def _mean(metric: Float[np.ndarray, "net point"]) -> Float[np.ndarray, "point"]:
  return metric.mean(axis=0)


def _numbers(of_part: Mapping[str, Any], summary: Mapping[str, Any]) -> tuple[str, ...]:
  steps = words.steps_to_match(of_part["steps"], summary["optimizer_steps"])
  return words.number(of_part["start"]), steps, words.number(of_part["area"]), words.number(of_part["best"])


def _caption(found: Evaluated) -> str:
  summary = found.summary
  optimizer = words.optimizer(summary["optimizer"])
  caption = (
    f"{optimizer} is the optimizer that first takes initial networks to the level at which training runs end, or comes "
    f"nearest to it. Here it goes on from {len(summary['starts'])} starts: {summary['networks']} initial networks, the "
    "same after one G.pt update, as many checkpoints of the corpus whose recorded value is nearest to the prompt, and "
    "soups, which are means of run ends with their units matched. Each start has the learning rate and the decay "
    "chosen for it, on other networks. Lines are means, bands the middle 80 % of networks."
  )
  if any(start["decay"] is not None and start["decay"] < 1 for start in summary["starts"].values()):
    caption += " A line ends where its learning rate has decayed to 0: from there on nothing moves."
  return caption
