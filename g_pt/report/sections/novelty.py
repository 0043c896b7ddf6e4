"""Whether samples are new networks."""

from __future__ import annotations

from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated


def section(found: Evaluated, view: View) -> Section | None:
  del found, view
  return None


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  del found, view
  return ()


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  del found, view
  return ()
