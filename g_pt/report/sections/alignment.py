"""Prompt alignment: achieved against prompted, for training runs and test runs."""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float
import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import axes, marks, published
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated
from g_pt.tasks.base import Metric

_DRAWN = 24  # networks, one by one
_RUNS = {"train": ("training runs", marks.TRAINING_RUNS), "test": ("test runs", marks.GPT)}
# What test runs can have without a model: name, colour, dash.
_WITHOUT = {
  "retrieval": ("nearest checkpoint of the corpus", "#0E9A73", "dash"),
  "interpolation": ("between start and best end", "#B2589A", "dashdot"),
}


def section(found: Evaluated, view: View) -> Section:
  measured = list(_measured(found))
  values = {
    (runs, part): (found.array(f"{runs}.prompted"), found.array(f"{runs}.achieved.{part}"))
    for runs, part, _ in measured
  }
  shown = axes.common_range(*(array for pair in values.values() for array in pair))
  drawn = {}
  for runs, part, scores in measured:
    title = f"{words.capital(_name(runs, part))}: alignment {words.number(scores['mean'])}"
    drawn[title] = figure(*values[runs, part], view.metric, _RUNS[runs][1], shown)
    if runs == "test":
      _add_without_model(drawn[title], found, part)
    if any(way in found.summary for way in _WITHOUT):
      # The same room for the longer legend below all of them, so that they stand side by side.
      drawn[title].update_layout(height=marks.HEIGHT + 180, margin={"b": 176})
  return Section("Do networks get what is asked for?", _caption(found, view.metric), drawn)


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  every = [(_name(runs, part), scores) for runs, part, scores in _measured(found)]
  scores = tuple(
    (name, words.number(one["mean"]), words.interval(one["interval"]), words.number(one["median"]))
    for name, one in [*every, *_without_model(found)]
  )
  narrow = tuple(
    (name, words.count(one["too_narrow"]), words.number(one["mean_of_others"]))
    for name, one in every
    if one["too_narrow"]
  )
  return (
    Table("Prompt alignment (1 is perfect)", ("", "mean", "90 % interval", "median"), scores),
    Table("Too near their best to judge", ("", "networks", "mean of the others"), narrow),
    _published(view),
  )


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  del view
  means = {(runs, part): words.number(scores["mean"]) for runs, part, scores in _measured(found)}
  others = (("train", "recorded", "training runs"), ("test", "final", words.PARTS["final"]))
  beside = ", ".join(f"{means[runs, part]} on {name}" for runs, part, name in others if (runs, part) in means)
  label = f"prompt alignment on test runs ({beside})" if beside else "prompt alignment on test runs"
  return (Key(means["test", "recorded"], label),)


def figure(
  prompted: Float[np.ndarray, "net prompt"],
  achieved: Float[np.ndarray, "net prompt"],
  metric: Metric,
  colour: str,
  shown: tuple[float, float],
) -> go.Figure:
  """Achieved against prompted: some networks one by one, the mean, a band, the identity.

  `shown` is the range of both axes.
  """
  x = prompted.mean(axis=0)
  drawn = marks.empty(f"prompted {metric.label}", f"achieved {metric.label}")
  line = {"color": marks.NEUTRAL, "dash": "dash"}
  drawn.add_trace(go.Scatter(x=shown, y=shown, mode="lines", name="perfect", line=line, hoverinfo="skip"))
  drawn.add_trace(marks.bundle(prompted[:_DRAWN], achieved[:_DRAWN], "single networks", colour))
  low, high = marks.middle(achieved)
  drawn.add_trace(marks.band(x, low, high, colour, "middle 80 %", alpha=0.25))
  line = {"color": colour, "width": 3}
  hover = "prompted %{x:.3g}<br>achieved %{y:.3g}"
  drawn.add_trace(marks.line(x, achieved.mean(axis=0), "mean", line, mode="lines+markers", hovertemplate=hover))
  drawn.update_xaxes(range=shown).update_yaxes(range=shown)
  return drawn.update_layout(hovermode="closest", height=marks.HEIGHT + 100)


def unmoved_score(prompts: int, share: float = 1.0) -> float:
  """Prompt alignment of leaving every network as it is, for evenly spaced prompts.

  They run from the best value to `share` of a network's own. Exact where that
  is all of it or where the best value is 0.
  """
  mean_square, variance = (2 * prompts - 1) / (6 * (prompts - 1)), (prompts + 1) / (12 * (prompts - 1))
  return 1 - (share**-2 - 1 / share + mean_square) / variance


def _measured(found: Evaluated) -> Iterator[tuple[str, str, dict]]:
  """(runs, part, scores), the recorded part of the data first."""
  for runs in _RUNS:
    for part in words.PARTS:
      if part in found.summary[runs]:
        yield runs, part, found.summary[runs][part]


def _without_model(found: Evaluated) -> Iterator[tuple[str, dict]]:
  """(name, scores) of what needs no model, on each part of the data; older files have none."""
  for way, (name, _, _) in _WITHOUT.items():
    for part in words.PARTS:
      if part in found.summary.get(way, {}):
        yield words.on_part(name, part), found.summary[way][part]


def _add_without_model(drawn: go.Figure, found: Evaluated, part: str) -> None:
  """Means of what test runs' prompts get without a model."""
  for way, (name, colour, dash) in _WITHOUT.items():
    if part in found.summary.get(way, {}):
      x, y = found.array("test.prompted").mean(axis=0), found.array(f"{way}.achieved.{part}").mean(axis=0)
      hover = "prompted %{x:.3g}<br>achieved %{y:.3g}"
      drawn.add_trace(marks.line(x, y, name, {"color": colour, "dash": dash, "width": 2}, hovertemplate=hover))


def _published(view: View) -> Table:
  """Alignment by the width of the published model, where it is known."""
  by_width = published.of(published.ALIGNMENT, view) or {}
  rows = tuple((f"width {words.count(width)}", words.number(score)) for width, score in by_width.items())
  return Table(f"Published prompt alignment ({published.GPT})", ("", "mean"), rows)


def _name(runs: str, part: str) -> str:
  return words.on_part(_RUNS[runs][0], part)


def _caption(found: Evaluated, metric: Metric) -> str:
  networks, prompts = found.summary["networks"], found.summary["prompts"]
  own = "the one it has" if metric.own_share == 1 else f"{100 * metric.own_share:.0f} % of the one it has"
  caption = (
    f"Each of {networks} freshly initialised networks is asked for {prompts} values, from "
    f"{words.setting(metric.best_prompt)} to {own}, and gets one update for each. Thin lines are single "
    "networks; the band holds the middle 80 % of all of them. Prompt alignment is the mean over networks of the R² "
    "of achieved against prompted: 1 is perfect, and leaving every network as it is scores about "
    f"{words.number(unmoved_score(prompts, metric.own_share))}. Its interval is a bootstrap over networks."
  )
  if "final" in found.summary["test"]:
    caption += " No corpus, prompt or setting has seen the held-out data."
  if any(way in found.summary for way in _WITHOUT):
    caption += (
      " Dashed lines need no model: for each prompt, the checkpoint of the training runs that comes nearest, whatever "
      "network is given; and the nearest point between the network and the best end of a training run. Both choose by "
      "what was measured; samples of G.pt are not chosen."
    )
  return caption
