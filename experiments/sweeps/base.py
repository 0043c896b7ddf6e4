"""What a sweep is: one experiment, and axes along each of which one field of it varies alone."""

from __future__ import annotations

from collections.abc import Mapping
import copy
import dataclasses
import importlib
from pathlib import Path
from typing import Any, NamedTuple

from g_pt.errors import UserError

NAMES = ("digits", "mnist", "cifar10")
DEFAULT = "default"  # the point at which every axis has the experiment's own value


class Published(NamedTuple):
  """A published curve of prompt alignment, to stand beside ours."""

  title: str
  values: tuple[float, ...]  # of its axis
  alignment: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Sweep:
  """No grid: the axes cross in the experiment as it is."""

  name: str
  experiment: str  # a module of experiments/, NAME or NAME:VARIANT
  axes: Mapping[str, tuple[Any, ...]]  # by field of the configuration, its other values
  overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # by field, for all points
  published: Mapping[str, Published] = dataclasses.field(default_factory=dict)  # by axis


class Point(NamedTuple):
  """One training of a sweep."""

  name: str  # of its folder: `width=48`
  axis: str | None  # None: it lies on every axis
  value: Any = None


def short(axis: str) -> str:
  """model.width -> width."""
  return axis.rpartition(".")[2]


def get(name: str) -> Sweep:
  """The sweep of a module of this package."""
  if name not in NAMES:
    raise UserError(f"--sweep: unknown {name!r}; it is one of: {', '.join(NAMES)}")
  return importlib.import_module(f"experiments.sweeps.{name}").get_sweep()


def points(sweep: Sweep) -> tuple[Point, ...]:
  """The experiment as it is, then each axis in turn."""
  others = (Point(f"{short(axis)}={value}", axis, value) for axis, values in sweep.axes.items() for value in values)
  return (Point(DEFAULT, None), *others)


def check_index(sweep: Sweep, index: int | None) -> None:
  """Raises UserError where a sweep has no such point."""
  count = len(points(sweep))
  if index is not None and not 0 <= index < count:
    raise UserError(f"--index: {index} is none of the {count} jobs of {sweep.name}, 0 to {count - 1}")


def values_of(sweep: Sweep, point: Point, corpus: Path, data_dir: str | None = None) -> dict[str, Any]:
  """The whole configuration of a point, as plain dictionaries; a field that does not exist is refused by the parser."""
  module, _, variant = sweep.experiment.partition(":")
  get_config = importlib.import_module(f"experiments.{module}").get_config
  values = copy.deepcopy(get_config(variant or "default").to_dict())
  changes = {**sweep.overrides, "corpus.path": str(corpus), "data_dir": data_dir}
  if point.axis is not None:
    changes[point.axis] = point.value
  for field, value in changes.items():
    *parents, name = field.split(".")
    place = values
    for parent in parents:
      place = place.setdefault(parent, {})
    place[name] = value
  return values
