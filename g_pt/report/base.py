"""What one evaluation shows in the report: a section, tables, key numbers.

A module of `sections/` is a `SectionPlugin`: pure functions of what one
evaluation left and of the metric it is about. The page knows none of them by
name, so that an evaluation is added without touching it.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import UInt8
import numpy as np
from plotly.graph_objects import Figure

from g_pt import tasks
from g_pt.report.results import Evaluated
from g_pt.tasks.base import Metric, Task


@dataclasses.dataclass(frozen=True)
class View:
  """Which metric of which task the report is about."""

  task: Task
  name: str  # of the metric, as evaluations list it among their numbers

  @classmethod
  def of(cls, values: Mapping[str, Any]) -> View:
    """The view of a resolved configuration, by its fields `task` and `metric`."""
    return cls(tasks.get(values["task"]), values["metric"])

  @functools.cached_property
  def metric(self) -> Metric:
    return self.task.metric(self.name)

  def label(self, name: str) -> str | None:
    """The label of any number of the task; None where it is none that one asks for."""
    try:
      return self.task.metric(name).label
    except ValueError:
      return None


class Film(NamedTuple):
  """Frames that follow each other evenly, and the first again after the last."""

  frames: UInt8[np.ndarray, "frame row column 3"]
  title: str
  text: str  # what it shows, for those who cannot see it
  rate: float = 12.5  # frames a second


class Section(NamedTuple):
  """A heading, a caption and figures by their titles; a note stands where a figure cannot be drawn.

  A figure may be animated: it has frames, and a slider in its layout that leads through them.
  """

  title: str
  caption: str = ""
  figures: Mapping[str, Figure] = {}
  note: str = ""
  wide: bool = False  # a figure takes the whole width, not what the others beside it leave
  film: Film | None = None


class Table(NamedTuple):
  """A row starts with its name."""

  title: str
  header: tuple[str, ...]  # of the columns; empty where a row is a name and a value
  rows: tuple[tuple[str, ...], ...]


class Key(NamedTuple):
  """One of the few numbers that a reader should take away."""

  value: str
  label: str


@runtime_checkable
class SectionPlugin(Protocol):
  """What the page asks of a module for one evaluation."""

  def section(self, found: Evaluated, view: View) -> Section | None:
    """Figures with their caption; None: the tables say it all."""
    ...

  def tables(self, found: Evaluated, view: View) -> tuple[Table, ...]:
    """For the terminal and the page alike; those without rows are left out. They need no arrays."""
    ...

  def keys(self, found: Evaluated, view: View) -> tuple[Key, ...]:
    """For the top of the page."""
    ...
