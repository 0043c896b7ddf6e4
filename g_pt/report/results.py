"""What evaluations and training left in a workdir, read and checked.

evaluation/NAME.json    {"settings": {...}, "summary": {...}, "seconds": number}
evaluation/NAME.npz     arrays, where the evaluation has any
metrics.jsonl           a line every few steps of training
"""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from g_pt import workdir
from g_pt.errors import UserError


@dataclasses.dataclass(frozen=True)
class Evaluated:
  """One evaluation's two files; the arrays are read when the first of them is asked for."""

  file: Path  # NAME.json
  settings: dict[str, Any]  # that it depends on
  summary: dict[str, Any]
  seconds: float  # that it took

  @functools.cached_property
  def arrays(self) -> dict[str, np.ndarray]:
    """UserError, naming the file, where it is missing or cannot be read."""
    return workdir.read_arrays(self._arrays_file, "evaluate")

  def array(self, name: str) -> np.ndarray:
    """UserError, naming the file, where there is no such array."""
    if name not in self.arrays:
      raise UserError(f"{self._arrays_file}: array {name!r} is missing; run --stage=evaluate again")
    return self.arrays[name]

  @property
  def _arrays_file(self) -> Path:
    return self.file.with_suffix(".npz")


@dataclasses.dataclass(frozen=True)
class Training:
  """The lines of metrics.jsonl."""

  lines: tuple[dict[str, float | int], ...]

  def logged(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(step, value, seconds) of the lines that hold `name`."""
    lines = [line for line in self.lines if name in line]
    step, value, seconds = ([line[field] for line in lines] for field in ("step", name, "seconds"))
    return np.asarray(step, np.int64), np.asarray(value, np.float64), np.asarray(seconds, np.float64)


def evaluations(directory: Path, names: Iterable[str]) -> dict[str, Evaluated]:
  """Those of the named evaluations that are there, in the order of `names`.

  Raises UserError where there is none, and, naming the file, where one cannot be read.
  """
  files = {name: directory / workdir.EVALUATION / f"{name}.json" for name in names}
  contents = {name: workdir.read_json(file) for name, file in files.items()}
  found = {name: _evaluated(files[name], content) for name, content in contents.items() if content is not None}
  if not found:
    raise UserError(f"{directory}: not evaluated yet ({workdir.EVALUATION}/ holds no results); run --stage=evaluate")
  return found


def training(directory: Path) -> Training:
  """Raises UserError, naming file and line, where metrics.jsonl is missing or cannot be read."""
  file = directory / workdir.METRICS
  try:
    lines = file.read_text().splitlines()
  except FileNotFoundError:
    raise UserError(f"{file}: missing; run --stage=train") from None
  values = []
  for i, line in enumerate(lines, 1):
    try:
      values.append(json.loads(line))
      if not {"step", "seconds"} <= values[-1].keys():
        raise ValueError("no step or seconds")
    except (ValueError, AttributeError) as error:
      raise UserError(f"{file}, line {i}: not a line of training metrics: {error}") from None
  return Training(tuple(values))


def _evaluated(file: Path, content: Any) -> Evaluated:
  fields = ("settings", "summary", "seconds")
  lacking = [name for name in fields if not isinstance(content, dict) or name not in content]
  if lacking:
    raise UserError(f"{file}: no {lacking[0]!r} in it; run --stage=evaluate again")
  return Evaluated(file, *(content[name] for name in fields))
