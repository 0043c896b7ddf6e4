"""What evaluation and training left in a workdir, read and checked."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any
import zipfile

import numpy as np

from g_pt import workdir
from g_pt.errors import UserError


@dataclasses.dataclass(frozen=True)
class Results:
  """Everything that the page shows; arrays by the names of `g_pt.evaluation.run`."""

  summary: dict[str, Any]
  arrays: dict[str, np.ndarray]
  training: tuple[dict[str, float | int], ...]  # a line of metrics.jsonl each
  arrays_file: Path

  def array(self, name: str) -> np.ndarray:
    """UserError, naming the file, where there is no such array."""
    if name not in self.arrays:
      raise UserError(f"{self.arrays_file}: array {name!r} is missing; run --stage=evaluate again")
    return self.arrays[name]

  @property
  def optimizers(self) -> tuple[str, ...]:
    return tuple(name for name in self.summary["one_update"]["learning_rate"] if f"curves.{name}" in self.arrays)

  @property
  def optimizer_steps(self) -> int | None:
    """The length of the optimizers' runs; None where there are none."""
    return int(self.array("curves.step")[-1]) if self.optimizers else None

  def logged(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(step, value, seconds) of the training lines that hold `name`."""
    lines = [line for line in self.training if name in line]
    return tuple(
      np.asarray([line[field] for line in lines], kind)
      for field, kind in (("step", np.int64), (name, np.float64), ("seconds", np.float64))
    )


def read(directory: Path) -> Results:
  """Raises UserError, naming the file, where one is missing or cannot be read."""
  summary = workdir.read_json(directory / workdir.SUMMARY)
  if summary is None:
    raise _missing(directory / workdir.SUMMARY, "evaluate")
  return Results(
    summary,
    _read_arrays(directory / workdir.ARRAYS),
    _read_training(directory / workdir.METRICS),
    directory / workdir.ARRAYS,
  )


def _missing(file: Path, stage: str) -> UserError:
  return UserError(f"{file}: missing; run --stage={stage}")


def _read_arrays(file: Path) -> dict[str, np.ndarray]:
  try:
    with np.load(file) as arrays:
      return dict(arrays)
  except FileNotFoundError:
    raise _missing(file, "evaluate") from None
  except (ValueError, EOFError, zipfile.BadZipFile) as error:
    raise UserError(f"{file}: not readable: {error}") from None


def _read_training(file: Path) -> tuple[dict[str, float | int], ...]:
  try:
    lines = file.read_text().splitlines()
  except FileNotFoundError:
    raise _missing(file, "train") from None
  values = []
  for i, line in enumerate(lines, 1):
    try:
      values.append(json.loads(line))
      if not {"step", "seconds"} <= values[-1].keys():
        raise ValueError("no step or seconds")
    except (ValueError, AttributeError) as error:
      raise UserError(f"{file}, line {i}: not a line of training metrics: {error}") from None
  return tuple(values)
