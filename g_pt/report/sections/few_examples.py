"""What can be had of few images of a class: curves over their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import axes, marks
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated


def section(found: Evaluated, view: View) -> Section:
  drawn = {one["name"]: figure(one["counts"], view) for one in found.summary["sets"]}
  caption = (
    "All learn from the same images; settings of what has some are the best by the recorded images. Nothing is "
    f"trained for one update. Mean of {found.summary['networks']} networks, on final images."
  )
  return Section("From few images", caption, drawn)


def figure(counts: Sequence[dict[str, Any]], view: View) -> go.Figure:
  """The metric over images of a class, a line for each way."""
  drawn = marks.empty("images of a class (logarithmic)", view.metric.label)
  ways = list(counts[0]["ways"])
  x = np.asarray([one["count"] for one in counts])
  values = []
  for way, (colour, dash, _) in zip(ways, axes.styles(len(ways))):
    y = np.asarray([one["ways"][way][view.name] for one in counts], float)  # None is NaN: nothing is drawn
    values.append(y)
    style = {"color": colour, "dash": dash, "width": 3 if way == "one update" else 2}
    drawn.add_trace(marks.line(x, y, way, style, mode="lines+markers"))
  # Closed forms that fail on few images would take all of the axis.
  shown = axes.without_outliers(np.concatenate(values), 2 * float(np.nanmax(values[0])), view.metric.higher_is_better)
  drawn.update_xaxes(type="log", tickvals=x).update_yaxes(range=shown)
  return drawn.update_layout(height=marks.HEIGHT + 120, margin={"b": 140})


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  return tuple(_table(one, view) for one in found.summary["sets"])


def _table(one: dict[str, Any], view: View) -> Table:
  counts = one["counts"]
  rows = tuple(
    (words.capital(way), *(words.number(one["ways"][way][view.name]) for one in counts)) for way in counts[0]["ways"]
  )
  header = ("", *(words.plural(one["count"], "image") for one in counts))
  return Table(f"{words.capital(one['name'])}: {view.metric.label} by images of a class", header, rows)


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  del found, view
  return ()
