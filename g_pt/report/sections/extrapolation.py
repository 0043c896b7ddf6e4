"""Prompts beyond what was learned."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import axes, marks
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated
from g_pt.tasks.base import Metric

_PARTS = {"recorded": marks.GPT, "final": marks.TRAINING_RUNS}


def section(found: Evaluated, view: View) -> Section:
  summary, prompt = found.summary, found.array("prompt")
  achieved = {part: found.array(f"achieved.{part}") for part in _PARTS if part in summary}
  edge, ends = summary["edge"], summary["run_ends"]
  drawn = {"Achieved against prompted": figure(prompt, achieved, edge, ends, view.metric)}
  gain = view.metric.gain
  note = ""
  if gain(summary["best_prompt"]) > gain(edge):
    # What is beyond, the edge and one prompt more.
    near = np.argsort(-gain(prompt))[: int((gain(prompt) >= gain(edge)).sum()) + 1]
    near_by = {part: values[:, near] for part, values in achieved.items()}
    drawn["Beyond the edge, a closer look"] = figure(prompt[near], near_by, edge, ends, view.metric)
  else:
    note = "The best that one asks for was learned: nothing lies beyond."
  return Section("Prompts beyond what was learned", _caption(found, view.metric), drawn, note)


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  del view
  summary = found.summary
  header = ("", "at the edge", "best", "for the prompt", "slope within", "slope beyond")
  fields = ("at_edge", "best", "best_prompt", "slope_within", "slope_beyond")
  rows = tuple(
    (words.PARTS[part], *(words.number(summary[part][field]) for field in fields)) for part in _PARTS if part in summary
  )
  return (Table(f"Prompts beyond the best that was learned, {words.number(summary['edge'])}", header, rows),)


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  del found, view
  return ()


def figure(
  prompt: Float[np.ndarray, "prompt"],
  achieved: Mapping[str, Float[np.ndarray, "net prompt"]],
  edge: float,
  run_ends: float,
  metric: Metric,
) -> go.Figure:
  """Mean and band of what prompts get, on each part of the data; shaded where nothing was learned."""
  order = np.argsort(prompt)
  x = prompt[order]
  drawn = marks.empty(f"prompted {metric.label}", f"achieved {metric.label}")
  line = {"color": marks.NEUTRAL, "dash": "dash"}
  drawn.add_trace(go.Scatter(x=x, y=x, mode="lines", name="perfect", line=line, hoverinfo="skip"))
  bands = [marks.middle(values[:, order]) for values in achieved.values()]
  for (part, values), (low, high) in zip(achieved.items(), bands):
    name, colour = f"mean on {words.PARTS[part]}", _PARTS[part]
    drawn.add_trace(marks.band(x, low, high, colour, name, alpha=0.18, legend=False))
    line = {"color": colour, "width": 3}
    mean = values[:, order].mean(axis=0)
    drawn.add_trace(marks.line(x, mean, name, line, mode="lines+markers", legendgroup=name))
  line = {"color": marks.NEUTRAL, "dash": "dot", "width": 1.5}
  name = f"end of a training run, {words.number(run_ends)}"
  drawn.add_trace(marks.line(x[[0, -1]], np.full(2, run_ends), name, line, hoverinfo="skip"))
  _shade(drawn, x, edge, metric)
  drawn.update_yaxes(range=axes.common_range(*bands, x, np.asarray([run_ends])))
  margin = 0.03 * float(x[-1] - x[0])
  shown = [float(x[0]) - margin, float(x[-1]) + margin]
  drawn.update_xaxes(range=shown, unifiedhovertitle={"text": "prompted %{x:.3g}"})
  return drawn.update_layout(height=marks.HEIGHT + 60)


def _shade(drawn: go.Figure, x: Float[np.ndarray, "prompt"], edge: float, metric: Metric) -> None:
  """The edge of what was learned, and the side beyond it."""
  end = float(x[-1] if metric.higher_is_better else x[0])
  if metric.gain(end) > metric.gain(edge):
    drawn.add_vrect(x0=edge, x1=end, fillcolor=marks.NEUTRAL, opacity=0.15, line_width=0)
  position = "top left" if metric.higher_is_better else "top right"
  line = {"color": marks.NEUTRAL, "width": 1.5}
  drawn.add_vline(x=edge, line=line, annotation_text="edge of what was learned", annotation_position=position)


def _caption(found: Evaluated, metric: Metric) -> str:
  summary = found.summary
  side = "right" if metric.higher_is_better else "left"
  return (
    f"{summary['networks']} fresh networks are prompted from the middle of what was learned to its edge, the best of "
    f"it ({words.number(summary['edge'])}), and on to {words.setting(summary['best_prompt'])}, shaded on the {side}. "
    "Prompts are passed on as they are; elsewhere on this page they are clipped at the edge. Bands hold the middle "
    "80 % of networks. The slope of achieved against prompted is 1 where networks follow the prompt and 0 where they "
    "do not: a flat line beyond the edge means that G.pt does not extrapolate."
  )
