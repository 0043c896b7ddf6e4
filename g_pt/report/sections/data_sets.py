"""One model on many data sets: achieved against prompted on each, and what rivals make of the same images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import axes, marks
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated

_KINDS = {"held out": "sources that are in no corpus", "test": "unseen mixes", "training": "data sets of the corpus"}
_CONTROLS = ("another data set", "permuted classes")


def section(found: Evaluated, view: View) -> Section:
  drawn = {}
  for kind, name in _KINDS.items():
    of_kind = [(i, one) for i, one in enumerate(found.summary["sets"]) if one["kind"] == kind]
    if of_kind:
      drawn[words.capital(name)] = figure(found, of_kind, view)
  caption = (
    f"Mean over {found.summary['networks']} fresh networks of each data set, on final images. Of a data set the model "
    "is told its directions, from class means and covariances, and some labelled images; nothing is trained. "
    "Prompts run from where whole runs end to a network's own value; one update is prompted for the best. With the "
    "statistics of another data set, or with classes permuted, it must fail."
  )
  return Section("Data sets that it has never seen", caption + words.left_out(found.summary["left_out"]), drawn)


def figure(found: Evaluated, sets: Sequence[tuple[int, dict[str, Any]]], view: View) -> go.Figure:
  """Mean achieved against mean prompted, a line for each data set, and the identity."""
  drawn = marks.empty(f"prompted {view.metric.label}", f"achieved {view.metric.label}")
  lines = []
  for (number, one), (colour, dash, _) in zip(sets, axes.styles(len(sets))):
    x, y = (found.array(f"{number}.{view.name}.{what}").mean(axis=0) for what in ("prompted", "achieved"))
    lines += [x, y]
    label = f"{one['name']}: {words.number(one['metrics'][view.name]['alignment'])}"
    hover = "prompted %{x:.3g}<br>achieved %{y:.3g}"
    style = {"color": colour, "dash": dash, "width": 2}
    drawn.add_trace(marks.line(x, y, label, style, mode="lines+markers", hovertemplate=hover))
  shown = axes.common_range(*map(np.asarray, lines))
  line = {"color": marks.NEUTRAL, "dash": "dash"}
  drawn.add_trace(go.Scatter(x=shown, y=shown, mode="lines", name="perfect", line=line, hoverinfo="skip"))
  drawn.update_xaxes(range=shown).update_yaxes(range=shown)
  return drawn.update_layout(hovermode="closest", height=marks.HEIGHT + 180, margin={"b": 176})


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  sets = found.summary["sets"]
  of_metric = tuple(
    _numbers(sets, name, label) for name in sets[0]["metrics"] if (label := view.label(name)) is not None
  )
  return (*of_metric, _recitation(sets, view), _rivals([one for one in sets if "rivals" in one], view))


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  sets = [one for one in found.summary["sets"] if one["kind"] == "held out"]
  return tuple(
    Key(
      words.number(one["metrics"][view.name]["alignment"]),
      f"prompt alignment on {one['name']}, which is in no corpus; one update {_one_update(one, view.name)}",
    )
    for one in sets
  )


def _one_update(one: dict[str, Any], metric: str) -> str:
  numbers = one["metrics"][metric]
  return f"{words.number(numbers['start'])} → {words.number(numbers['one_update'][metric])}"


def _numbers(sets: Sequence[dict[str, Any]], metric: str, label: str) -> Table:
  rows = []
  for one in sets:
    numbers = one["metrics"][metric]
    controls = numbers.get("controls", {})
    rows.append(
      (
        one["name"],
        words.number(numbers["start"]),
        words.number(numbers["one_update"][metric]),
        words.number(numbers["end"]),
        words.number(numbers["alignment"]),
        words.interval(numbers["interval"]),
        *(words.number(controls.get(name, {}).get("alignment")) for name in _CONTROLS),
      )
    )
  header = ("", "start", "one update", "whole runs", "alignment", "90 % interval", *_CONTROLS)
  return Table(f"By {label}, on final images; alignment with what is told of the data set, or of", header, tuple(rows))


def _recitation(sets: Sequence[dict[str, Any]], view: View) -> Table:
  kinds = ("different_starts", "one_start", "ends", "cosine")
  rows = tuple(
    (one["name"], *(words.number(one["metrics"][view.name]["recitation"][kind]) for kind in kinds)) for one in sets
  )
  header = ("", "samples of different starts", "samples of one start", "ends of whole runs", "cosine with the own run")
  return Table("Mean distances between networks, units matched", header, rows)


def _rivals(sets: Sequence[dict[str, Any]], view: View) -> Table:
  """A column for each data set; optimizers are at their best for the metric."""
  if not sets:
    return Table("Rivals", (), ())
  rows = [("G.pt, one update", *(words.number(one["metrics"][view.name]["one_update"][view.name]) for one in sets))]
  steps = [one["rivals"]["steps to match"][view.name]["steps"] for one in sets]
  rows.append(("steps of Nesterov to match it", *("never" if n is None else words.steps(n) for n in steps)))
  for name in sets[0]["rivals"]:
    if name == "steps to match":
      continue
    of_each = [one["rivals"][name] for one in sets]
    values = [x[view.name][view.name] if isinstance(x[view.name], dict) else x[view.name] for x in of_each]
    rows.append((words.capital(name), *map(words.number, values)))
  title = f"What the same images give otherwise: {view.metric.label} on final images"
  return Table(title, ("", *(one["name"] for one in sets)), tuple(rows))
