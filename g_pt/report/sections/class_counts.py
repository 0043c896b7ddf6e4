"""Other numbers of classes: alignment and one update on each data set, by metric."""

from __future__ import annotations

from typing import Any

from g_pt import words
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated


def section(found: Evaluated, view: View) -> Section:
  del view
  caption = (
    f"Networks with as many outputs, {found.summary['networks']} of each data set; of a source its first classes. "
    "The summary has the numbers."
  )
  return Section("Other numbers of classes", caption + words.left_out(found.summary["left_out"]))


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  sets = found.summary["sets"]
  labels = [(name, view.label(name)) for name in (sets[0]["metrics"] if sets else ())]
  return tuple(_table(sets, name, label) for name, label in labels if label is not None)


def _table(sets: list[dict[str, Any]], metric: str, label: str) -> Table:
  header = ("", "start", "one update", "whole runs", "alignment")
  rows = []
  for one in sets:
    numbers = one["metrics"][metric]
    cells = (words.number(numbers[name]) for name in ("start", "one_update", "end", "alignment"))
    rows.append((f"{one['count']} classes: {one['name']}", *cells))
  return Table(f"By {label} and number of classes, on final images", header, tuple(rows))


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  del found, view
  return ()
