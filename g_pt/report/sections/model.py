"""G.pt itself: how large it is, and how long it trained."""

from __future__ import annotations

from g_pt import words
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated


def section(found: Evaluated, view: View) -> Section | None:
  del found, view
  return None


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  del view
  rows = [("parameters", words.count(found.summary["parameters"]))]
  if found.summary.get("seconds") is not None:
    rows.append(("trained in", words.duration(found.summary["seconds"])))
  return (Table("G.pt", (), tuple(rows)),)


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  del view
  seconds = found.summary.get("seconds")
  trained = f", trained in {words.duration(seconds)}" if seconds is not None else ""
  return (Key(words.short_count(found.summary["parameters"]), f"parameters of G.pt{trained}"),)
