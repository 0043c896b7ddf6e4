"""How few evaluations of the model a sample needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import axes, marks
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated

_DASHES = {"recorded": "solid", "final": "dot"}
_LOWEST = -3.0  # alignment shown; leaving networks as they are scores more


def section(found: Evaluated, view: View) -> Section:
  summary, metric = found.summary, view.metric
  drawn = {
    "Prompt alignment, test runs": figure(summary, "alignment", "prompt alignment"),
    f"{words.capital(metric.label)} after one update": figure(summary, "one_update", metric.label),
  }
  alignment, update = drawn.values()
  alignment.update_yaxes(range=axes.common_range(np.maximum(_values(summary, "alignment"), _LOWEST)))
  axes.hold(update, [_values(summary, "one_update")], metric)
  return Section("How few evaluations a sample needs", _caption(found), drawn)


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  summary = found.summary
  measured = (words.on_part(name, part) for name in ("alignment", view.metric.label) for part in _DASHES)
  header = ("", *measured, "variety", "novel and performant")
  rows = tuple(
    (
      _name(row) + (", chosen" if _is_chosen(row, summary) else ""),
      *(words.number(row[what][part]) for what in ("alignment", "one_update") for part in _DASHES),
      words.number(row["apart"] / summary["ends_apart"]),
      words.share(row["novel_performant"]),
    )
    for row in summary["rows"]
  )
  return (Table("Evaluations of the model", header, rows),)


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  del found, view
  return ()


def figure(summary: Mapping[str, Any], what: str, label: str) -> go.Figure:
  """`what` over the number of evaluations: a colour a temperature, held-out data dotted, a ring at what is chosen."""
  rows: Sequence[Mapping[str, Any]] = summary["rows"]
  drawn = marks.empty("evaluations of the model for one sample (logarithmic)", label)
  chosen = summary["chosen"]["temperature"]
  others = iter(axes.styles(len(rows)))
  for temperature in dict.fromkeys(row["temperature"] for row in rows):
    colour = marks.GPT if temperature == chosen else next(others)[0]
    own = [row for row in rows if row["temperature"] == temperature]
    for part, dash in _DASHES.items():
      name = words.on_part(f"temperature {words.setting(temperature)}", part)
      line = {"color": colour, "dash": dash, "width": 2.5}
      x, y = [row["evaluations"] for row in own], [row[what][part] for row in own]
      drawn.add_trace(marks.line(x, y, name, line, mode="lines+markers"))
  for row in rows:
    if _is_chosen(row, summary):
      ring = {"symbol": "circle-open", "size": 15, "color": marks.GPT, "line": {"width": 2.5}}
      drawn.add_trace(marks.point(float(row["evaluations"]), row[what]["recorded"], ring, "chosen"))
  axes.counts(drawn, (row["evaluations"] for row in rows))
  drawn.update_xaxes(unifiedhovertitle={"text": "evaluations: %{x}"})
  return drawn.update_layout(height=marks.HEIGHT + 40)


def _values(summary: Mapping[str, Any], what: str) -> Float[np.ndarray, "value"]:
  return np.asarray([row[what][part] for row in summary["rows"] for part in _DASHES], np.float64)


def _is_chosen(row: Mapping[str, Any], summary: Mapping[str, Any]) -> bool:
  return all(row[field] == summary["chosen"][field] for field in ("temperature", "evaluations"))


def _name(row: Mapping[str, Any]) -> str:
  return f"temperature {words.setting(row['temperature'])}, {words.plural(row['evaluations'], 'evaluation')}"


def _caption(found: Evaluated) -> str:
  summary = found.summary
  return (
    f"A sample is denoised in a few evaluations of the model; the ring is the setting by which every other section "
    "samples. The temperature is the size of the noise that a sample begins with: 0 gives one sample for each start. "
    f"{summary['networks']} test runs are prompted for many values (alignment) and as many fresh networks for "
    f"{words.setting(summary['prompt'])}. In the table, variety is the mean distance between samples of one start, "
    "as a share of that between ends of training runs; novel and performant are samples farther from every training "
    "end than these are from each other (median) and at most 25 % worse than the median of them."
  )
