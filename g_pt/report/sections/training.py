"""How G.pt learned: the one section that is about no evaluation, from the lines that training wrote."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float, Int
import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import marks
from g_pt.report.base import Section, View
from g_pt.report.results import Evaluated, Training
from g_pt.report.sections.alignment import unmoved_score


def section(training: Training, found: Mapping[str, Evaluated], view: View) -> Section:
  """Probes ask for as many prompts as the evaluation of alignment does."""
  title = "How G.pt learned"
  if not training.lines:
    return Section(title, note="This workdir holds no training steps.")
  drawn, notes = {}, []
  step, score, seconds = training.logged("prompt_alignment")
  if step.size:
    prompts = found["alignment"].summary["prompts"] if "alignment" in found else None
    unmoved = None if prompts is None else unmoved_score(prompts, view.metric.own_share)
    drawn["Prompt alignment, validation runs"] = probes(step, score, seconds, unmoved)
  else:
    notes.append("Prompt alignment was not measured during training (train.probe_every).")
  step, loss, seconds = training.logged("loss")
  if step.size:
    drawn["Training loss"] = losses(step, loss, seconds)
  else:
    notes.append("No training loss was logged (train.log_every).")
  caption = "Measured as training went on: alignment of the averaged weights on validation runs, and the loss."
  return Section(title, caption, drawn, " ".join(notes))


def probes(
  step: Int[np.ndarray, "probe"],
  score: Float[np.ndarray, "probe"],
  seconds: Float[np.ndarray, "probe"],
  unmoved: float | None,
) -> go.Figure:
  """Prompt alignment over training; `unmoved` is that of leaving networks as they are, where it is known."""
  figure = marks.empty("training step of G.pt", "prompt alignment, validation runs")
  marks.level(figure, 1.0, "perfect", "bottom left")
  if unmoved is not None and score.min() < unmoved + 0.5:
    marks.level(figure, unmoved, "networks left as they are", "bottom right")
  line = {"color": marks.GPT, "width": 2.5}
  rest = {"customdata": _durations(seconds), "hovertemplate": "%{y:.3f} after %{customdata}", "showlegend": False}
  figure.add_trace(marks.line(step, score, "alignment", line, "lines+markers", **rest))
  return marks.plain_steps(figure)


def losses(
  step: Int[np.ndarray, "line"], loss: Float[np.ndarray, "line"], seconds: Float[np.ndarray, "line"]
) -> go.Figure:
  """What training descends, as logged and smoothed."""
  figure = marks.empty("training step of G.pt", "training loss (logarithmic)")
  colour, span = marks.TRAINING_RUNS, len(loss) // 20
  line = {"color": marks.faded(colour, 0.45), "width": 1} if span > 1 else {"color": colour, "width": 2.5}
  rest = {"customdata": _durations(seconds), "hovertemplate": "%{y:.3g} after %{customdata}"}
  figure.add_trace(marks.line(step, loss, "as logged", line, **rest))
  if span > 1:
    smooth = np.convolve(loss, np.full(span, 1 / span), mode="valid")
    middle = step[(span - 1) // 2 :][: smooth.size]
    figure.add_trace(marks.line(middle, smooth, f"mean of {span} neighbours", {"color": colour, "width": 2.5}))
  ticks = marks.ticks(float(loss.min()), float(loss.max()))
  if len(ticks) > 1:
    figure.update_yaxes(tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
  figure.update_yaxes(type="log")
  return marks.plain_steps(figure)


def _durations(seconds: Float[np.ndarray, "point"]) -> list[str]:
  return [words.duration(value) for value in seconds]
