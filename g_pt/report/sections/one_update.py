"""One update of freshly initialised networks, beside the curves of hand-made optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxtyping import Float, Int
import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import axes, marks, published
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated
from g_pt.tasks.base import Metric


class Curve(NamedTuple):
  """One optimizer's metric, and the step at which its mean is as good as one update."""

  step: Int[np.ndarray, "point"]
  metric: Float[np.ndarray, "net point"]
  learning_rate: float
  decay: float | None  # share of the run after which the learning rate is 0; None: never
  steps: float | None  # to match; None: never in its run
  interval: tuple[float | None, float | None]  # of these steps, 90 %; an end of None lies beyond the run


def section(found: Evaluated, view: View) -> Section:
  title = "One update against hand-made optimizers"
  optimizers = _by_part(found.summary["optimizers"])
  if not optimizers:
    return Section(title, note="This task names no optimizers to compare one update with.")
  drawn, never = {}, []
  for part in optimizers:
    curves = _curves(found, part)
    levels = found.array(f"start.{part}"), found.array(f"achieved.{part}")
    heading = f"{words.capital(view.metric.label)} over optimizer steps"
    drawn[words.on_part(heading, part)] = figure(*levels, curves, view.metric)
    names = ", ".join(words.optimizer(name) for name, curve in curves.items() if curve.steps is None)
    if names:
      never.append(names if part == "recorded" else f"{names} on {words.PARTS[part]}")
  within = f"Not as good within {words.count(found.summary['optimizer_steps'])} steps"
  return Section(title, _caption(found), drawn, f"{within}: {'; '.join(never)}." if never else "", wide=True)


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  optimizers = _by_part(found.summary["optimizers"])
  return (_numbers(found, view), *(_optimizers(found, part) for part in optimizers))


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  summary = found.summary
  numbers = {part: of_part[view.name] for part, of_part in summary["numbers"].items()}
  one = numbers["recorded"]
  label = f"{view.metric.label} before and after one update, mean of {summary['networks']} test networks"
  if "final" in numbers:
    label += f" ({words.number(numbers['final']['mean'])} after it on {words.PARTS['final']})"
  update = Key(f"{words.number(one['start'])} → {words.number(one['mean'])}", label)
  optimizers = summary["optimizers"].get("recorded")
  return (update, _worth(optimizers, summary["optimizer_steps"])) if optimizers else (update,)


def figure(
  start: Float[np.ndarray, "net"],
  achieved: Float[np.ndarray, "net"],
  curves: Mapping[str, Curve],
  metric: Metric,
) -> go.Figure:
  """Metric over optimizer steps, beside the level that one update reaches."""
  last, mean = max(int(curve.step[-1]) for curve in curves.values()), float(achieved.mean())
  drawn = marks.empty("optimizer steps (logarithmic)", metric.label)
  for (name, curve), (colour, dash, _) in zip(curves.items(), axes.styles(len(curves))):
    x = marks.on_log(curve.step)
    low, high = marks.middle(curve.metric)
    drawn.add_trace(marks.band(x, low, high, colour, name, alpha=0.1, legend=False))
    line = {"color": colour, "dash": dash, "width": 2}
    drawn.add_trace(marks.line(x, curve.metric.mean(axis=0), _label(name, curve), line, legendgroup=name))
  _add_update(drawn, achieved, marks.on_log(np.asarray([0, last])), metric)
  _mark_matches(drawn, curves, mean, metric)
  marks.log_steps(drawn, last)
  levels = [achieved, start, *(marks.middle(curve.metric).ravel() for curve in curves.values())]
  shown = axes.without_outliers(np.concatenate(levels), float(start.mean()), metric.higher_is_better)
  drawn.update_yaxes(range=shown)
  # The margin has room for a label that begins near the end of the axis.
  return drawn.update_layout(height=marks.HEIGHT + 70, legend={"itemwidth": 40}, margin={"r": 150})


def _by_part(parts: Mapping[str, Any]) -> dict[str, Any]:
  """Those that hold something, the recorded part of the data first."""
  return {part: parts[part] for part in words.PARTS if parts.get(part)}


def _curves(found: Evaluated, part: str) -> dict[str, Curve]:
  return {
    name: Curve(
      found.array(f"curve.{name}.step"),
      found.array(f"curve.{name}.{part}"),
      chosen["learning_rate"],
      chosen["decay"],
      chosen["steps"],
      tuple(chosen["interval"]),
    )
    for name, chosen in found.summary["optimizers"][part].items()
  }


def _caption(found: Evaluated) -> str:
  return (
    f"Mean over {found.summary['networks']} freshly initialised test networks; bands hold the middle 80 % of them. The "
    f"diamond is one G.pt update prompted for {words.setting(found.summary['prompt'])}, with its lowest and highest "
    "network; rings show the step at which an optimizer's mean is as good, interpolated between the steps measured, "
    "and their bars a 90 % interval by bootstrap over networks: one without an end goes beyond the run. Each optimizer "
    "has the learning rate, and the length of its cosine decay, that get there first on other networks."
  )


def _numbers(found: Evaluated, view: View) -> Table:
  """A column for each part of the data."""
  summary = found.summary
  parts = _by_part(summary["numbers"])
  own = [numbers[view.name] for numbers in parts.values()]
  names = [name for name in parts["recorded"] if name != view.name and view.label(name)]
  others = (
    (f"{view.label(name)}, mean", *(words.number(of_part.get(name, {}).get("mean")) for of_part in parts.values()))
    for name in names
  )
  return Table(
    f"One update, prompt {words.setting(summary['prompt'])}",
    ("", *(words.PARTS[part] for part in parts)),
    (
      ("test networks", *(words.count(summary["networks"]) for _ in parts)),
      ("start, mean", *(words.number(one["start"]) for one in own)),
      ("achieved, mean", *(words.number(one["mean"]) for one in own)),
      *_published(view, list(parts)),
      ("achieved, lowest to highest", *(words.interval((one["lowest"], one["highest"])) for one in own)),
      *others,
    ),
  )


def _published(view: View, parts: list[str]) -> tuple[tuple[str, ...], ...]:
  """A row with the published mean below that of the whole test set, of the recorded data where no part is whole."""
  mean = published.of(published.ONE_UPDATE, view)
  below = "whole" if "whole" in parts else "recorded"
  name = f"published ({published.GPT}), mean"
  return ((name, *(mean if part == below else "-" for part in parts)),) if mean else ()


def _optimizers(found: Evaluated, part: str) -> Table:
  header = ("", "learning rate", "decay", "best mean", "steps to match", "90 % interval", "after 1 step")
  rows = tuple(
    (
      words.optimizer(name),
      words.setting(chosen["learning_rate"]),
      words.decay(chosen["decay"]),
      words.number(chosen["best_mean"]),
      words.steps_to_match(chosen["steps"], found.summary["optimizer_steps"]),
      words.steps_interval(chosen["interval"]),
      words.number(chosen.get("first_step")),
    )
    for name, chosen in found.summary["optimizers"][part].items()
  )
  return Table(words.on_part("Optimizers", part), header, rows)


def _worth(optimizers: Mapping[str, Any], within: int) -> Key:
  """How many steps of the fastest optimizer one update is worth."""
  reached = [(chosen["steps"], name) for name, chosen in optimizers.items() if chosen["steps"] is not None]
  if not reached:
    label = "of every optimizer compared: none is as good by the end of its run"
    return Key(f"> {words.count(within)} steps", label)
  steps, name = min(reached)
  if not steps:
    return Key("0 steps", "is all that one update is worth")
  interval = words.steps_interval(optimizers[name]["interval"])
  fastest = f"of {words.optimizer(name)}, the fastest optimizer here, to be as good (90 % interval: {interval})"
  return Key(_steps(steps), fastest)


def _label(name: str, curve: Curve) -> str:
  decay = "constant" if curve.decay is None else f"decay over {words.decay(curve.decay)}"
  return f"{words.optimizer(name)}, learning rate {words.setting(curve.learning_rate)}, {decay}"


def _steps(steps: float) -> str:
  text = words.steps(steps)
  return f"{text} step" if text == "1" else f"{text} steps"


def _add_update(
  drawn: go.Figure, achieved: Float[np.ndarray, "net"], across: Float[np.ndarray, "2"], metric: Metric
) -> None:
  """The level that one update reaches, and a diamond at one step with the lowest and the highest network."""
  mean, (low, high), colour = float(achieved.mean()), marks.middle(achieved), marks.GPT
  below, above = (np.full(across.shape, value) for value in (low, high))
  drawn.add_trace(marks.band(across, below, above, colour, "G.pt", alpha=0.2, legend=False))
  line = {"color": colour, "width": 3}
  drawn.add_trace(marks.line(across, np.full(across.shape, mean), "G.pt, one update", line, legendgroup="G.pt"))
  spread = {"array": [float(achieved.max()) - mean], "arrayminus": [mean - float(achieved.min())], "color": colour}
  marker = {"symbol": "diamond", "size": 13, "color": colour}
  drawn.add_trace(marks.point(1.0, mean, marker, "G.pt", error_y=spread))
  marks.label(drawn, 1.0, mean, f"one G.pt update: {words.number(mean)}", colour, 34, metric)


def _mark_matches(drawn: go.Figure, curves: Mapping[str, Curve], mean: float, metric: Metric) -> None:
  """A ring where each optimizer's mean gets to the level `mean`, with its steps; labels on the side of worse values."""
  # As good before any step: no place to mark.
  matched = sorted((curve.steps, name, i) for i, (name, curve) in enumerate(curves.items()) if curve.steps)
  for rank, (steps, name, i) in enumerate(matched):
    colour = axes.styles(i + 1)[i][0]
    low, high = curves[name].interval
    # No upper end: the bar leaves the axis.
    ends = [steps if low is None else low, 9.0 * curves[name].step[-1] if high is None else high]
    left, x, right = (float(at) for at in marks.on_log(np.asarray([ends[0], steps, ends[1]])))
    bar = {"array": [right - x], "arrayminus": [x - left], "color": colour, "thickness": 2.5, "width": 7}
    ring = {"symbol": "circle", "size": 9, "color": colour, "line": {"width": 2, "color": "white"}}
    drawn.add_trace(marks.point(x, mean, ring, name, error_x=bar))
    # The earlier, the further away, so that no leader runs through another's label.
    away = 26 + 22 * (len(matched) - 1 - rank)
    marks.label(drawn, x, mean, f"{words.optimizer(name)}: {_steps(steps)}", colour, away, metric)
