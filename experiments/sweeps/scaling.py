"""The points of a sweep as its jobs left them, and the power laws along its axes."""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
import functools
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import Float
import numpy as np

from experiments.sweeps.base import DEFAULT, Published, short
from experiments.sweeps.fit import Slope, power_law
from experiments.sweeps.run import COST, SWEEP
from g_pt import workdir
from g_pt.errors import UserError
from g_pt.report.base import View

# Fields of a row by what they are called.
X = {
  "parameters": "parameters of G.pt",
  "runs": "training runs",
  "checkpoints": "checkpoints of a run",
  "training_flop": "training FLOP",
}
Y = {"lost": "1 - R²", "excess": "excess over run ends"}
# What an axis changes; the first is the one that figures show.
_OF_AXIS = {
  "model.width": ("parameters", "training_flop"),
  "model.depth": ("parameters", "training_flop"),
  "corpus.used_runs": ("runs",),
  "corpus.used_checkpoints": ("checkpoints",),
  "train.steps": ("training_flop",),
}


class Row(NamedTuple):
  """One measured point."""

  name: str
  axis: str | None  # None: it lies on every axis
  settings: dict[str, float | None]  # the value of every axis; None: all that there is
  parameters: int
  runs: int  # for training
  checkpoints: int  # of a run, that training saw
  steps: int
  training_flop: float
  alignment: dict[str, float]  # by part of the data, on test runs
  one_update: float  # mean over the fresh networks, recorded data
  run_ends: float  # mean over the training runs
  higher_is_better: bool

  @property
  def lost(self) -> float:
    return 1 - self.alignment["recorded"]

  @property
  def excess(self) -> float:
    """How much worse one update is than the ends of runs; below 0: better."""
    worse = self.one_update - self.run_ends
    return -worse if self.higher_is_better else worse


class Fitted(NamedTuple):
  axis: str  # short
  x: str  # of X
  y: str  # of Y
  slope: Slope | None  # None: too few points


@dataclasses.dataclass(frozen=True)
class Study:
  name: str
  task: str
  metric: str
  axes: tuple[str, ...]
  published: dict[str, Published]  # by axis
  rows: tuple[Row, ...]

  @functools.cached_property
  def view(self) -> View:
    return View.of({"task": self.task, "metric": self.metric})

  @functools.cached_property
  def fits(self) -> tuple[Fitted, ...]:
    """Along each axis, by all that it changes."""
    return tuple(
      Fitted(short(axis), x, y, power_law(*self.curve(axis, x, y)))
      for axis in self.axes
      for x in abscissae(axis)
      for y in Y
    )

  def on(self, axis: str) -> list[Row]:
    """Its points and the one on every axis, by what the axis changes."""
    first = abscissae(axis)[0]
    return sorted((row for row in self.rows if row.axis in (axis, None)), key=lambda row: getattr(row, first))

  def curve(self, axis: str, x: str, y: str) -> tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point"]]:
    values = np.array([(getattr(row, x), getattr(row, y)) for row in self.on(axis)], np.float64)
    return values[:, 0], values[:, 1]


def abscissae(axis: str) -> tuple[str, ...]:
  """Fields of a row that an axis changes; of another axis, what it costs."""
  return _OF_AXIS.get(axis, ("training_flop",))


def read(directory: Path) -> Study:
  """UserError where the folder is none of a sweep, or no point of it is measured."""
  sweep = workdir.read_json(directory / SWEEP)
  if sweep is None:
    raise UserError(f"{directory}: no sweep here ({SWEEP} is missing); run experiments.sweeps.run")
  axes = sweep["axes"]
  names = {DEFAULT: None} | {f"{short(axis)}={value}": axis for axis, values in axes.items() for value in values}
  found = {name: workdir.read_json(directory / name / workdir.SUMMARY) for name in names}
  rows = tuple(_row(directory / name, names[name], axes, summary) for name, summary in found.items() if summary)
  if not rows:
    raise UserError(f"{directory}: no point of the sweep is measured yet; run experiments.sweeps.run")
  first = next(summary for summary in found.values() if summary)
  published = {axis: Published(*curve) for axis, curve in sweep["published"].items()}
  return Study(sweep["name"], first["task"], first["metric"], tuple(axes), published, rows)


def _row(directory: Path, axis: str | None, axes: Iterable[str], summary: dict[str, Any]) -> Row:
  cost = workdir.read_json(directory / COST)
  trained = workdir.read_json(directory / workdir.TRAINED)
  if cost is None or trained is None:
    raise UserError(f"{directory}: {COST} or {workdir.TRAINED} is missing; remove the folder and run it again")
  metric = summary["metric"]
  test, census = summary["alignment"]["test"], trained["census"]
  return Row(
    name=directory.name,
    axis=axis,
    settings={name: _setting(trained["config"], name) for name in axes},
    parameters=summary["model"]["parameters"],
    runs=census["train_runs"],
    checkpoints=census["checkpoints"],
    steps=cost["steps"],
    training_flop=cost["training_flop"],
    alignment={part: scores["mean"] for part, scores in test.items()},
    one_update=summary["one_update"]["numbers"]["recorded"][metric]["mean"],
    run_ends=summary["corpus"]["final_mean"],
    higher_is_better=View.of(summary).metric.higher_is_better,
  )


def _setting(config: dict[str, Any], field: str) -> float | None:
  value: Any = config
  for name in field.split("."):
    value = value.get(name) if isinstance(value, dict) else None
  return value
