"""Prompting over the course of training: what networks got for each prompt when G.pt was younger."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int
import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import axes, marks
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated
from g_pt.report.sections.alignment import unmoved_score
from g_pt.tasks.base import Metric

_HEIGHT = marks.HEIGHT + 180  # pixels, of figures that stand beside each other
_PARTS = {"recorded": (marks.GPT, "solid"), "final": (marks.TRAINING_RUNS, "dash")}


def section(found: Evaluated, view: View) -> Section:
  title, summary = "How prompting was learned", found.summary
  if not summary["steps"]:
    return Section(title, note="This workdir keeps no younger weights: they were imported, or train.history is 0.")
  scores = {part: np.asarray(summary[part]) for part in _PARTS}
  drawn = {
    "Achieved against prompted, by training step": over_steps(
      found.array("step"), found.array("prompted"), found.array("achieved.recorded"), summary["recorded"], view.metric
    ),
    "Prompt alignment over training": alignments(found.array("step"), scores, summary["prompts"], view.metric),
  }
  caption = (
    f"The same {summary['networks']} initial networks of test runs, asked for the same {summary['prompts']} values by "
    "G.pt as it was at each of these steps of its training. Move the slider: where lines lie flat, updates do the same "
    "(or nothing) whatever is asked for; on the dashed line each network gets just what it is asked for. Thin lines "
    "are single networks."
  )
  return Section(title, caption, drawn)


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  del view  # alignment has no unit
  summary = found.summary
  steps, last = summary["steps"], len(summary["steps"]) - 1
  rows = tuple(
    (f"step {words.count(steps[i])}", words.number(summary["recorded"][i]), words.number(summary["final"][i]))
    for i in sorted({0, last // 2, last})
    if steps
  )
  header = ("", *(words.PARTS[part] for part in _PARTS))
  return (Table("Prompt alignment over training", header, rows),)


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  del found, view
  return ()


def over_steps(
  step: Int[np.ndarray, "step"],
  prompted: Float[np.ndarray, "net prompt"],
  achieved: Float[np.ndarray, "step net prompt"],
  score: Sequence[float],
  metric: Metric,
) -> go.Figure:
  """Achieved against prompted with a slider over training steps: networks one by one, their mean, the identity."""
  shown = axes.common_range(prompted, achieved)
  drawn = marks.empty(f"prompted {metric.label}", f"achieved {metric.label}")
  line = {"color": marks.NEUTRAL, "dash": "dash"}
  drawn.add_trace(go.Scatter(x=shown, y=shown, mode="lines", name="perfect", line=line, hoverinfo="skip"))
  drawn.add_trace(marks.bundle(prompted, achieved[-1], "single networks", marks.GPT))
  hover = "prompted %{x:.3g}<br>achieved %{y:.3g}"
  mean = {"name": "mean", "style": {"color": marks.GPT, "width": 4}, "mode": "lines+markers", "hovertemplate": hover}
  drawn.add_trace(marks.line(prompted.mean(axis=0), achieved[-1].mean(axis=0), **mean))
  frames, texts = {}, []
  for at, values, alignment in zip(step, achieved, score):
    single = marks.bundle(prompted, values, "", marks.GPT).y
    frames[words.count(int(at))] = [go.Scatter(y=single), go.Scatter(y=values.mean(axis=0))]
    texts.append(f"step {words.count(int(at))}: alignment {words.number(alignment)}")
  marks.animated(drawn, frames, [1, 2], texts, "training step")
  drawn.update_xaxes(range=shown).update_yaxes(range=shown)
  return drawn.update_layout(hovermode="closest", height=_HEIGHT)


def alignments(
  step: Int[np.ndarray, "step"], scores: dict[str, Float[np.ndarray, "step"]], prompts: int, metric: Metric
) -> go.Figure:
  """Prompt alignment over training steps, for each part of the data; far below that of doing nothing it is cut off."""
  drawn = marks.empty("training step of G.pt (logarithmic)", "prompt alignment, test runs")
  marks.level(drawn, 1.0, "perfect", "bottom left")
  unmoved, lowest = unmoved_score(prompts, metric.own_share), min(float(score.min()) for score in scores.values())
  if lowest < unmoved + 0.5:
    marks.level(drawn, unmoved, "networks left as they are", "bottom right")
  for part, score in scores.items():
    colour, dash = _PARTS[part]
    line = {"color": colour, "width": 2.5, "dash": dash}
    drawn.add_trace(marks.line(step, score, words.PARTS[part], line, "lines+markers", hovertemplate="%{y:.3f}"))
  low = max(min(lowest, 0.0), min(unmoved, 0.0) - 1.0)
  drawn.update_yaxes(range=[low - 0.08 * (1 - low), 1 + 0.08 * (1 - low)])
  marks.log_steps(drawn, int(step[-1]))
  # The first steps of training leave no weights: the axis begins where there are some.
  drawn.update_xaxes(range=[float(np.log10(0.85 * step[0])), drawn.layout.xaxis.range[1]])
  return drawn.update_layout(height=_HEIGHT)
