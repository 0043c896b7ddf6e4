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
import zipfile

import numpy as np

from g_pt import workdir
from g_pt.errors import UserError

EVALUATION = "evaluation"  # folder of the workdir


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
    file = self._arrays_file
    try:
      with np.load(file) as arrays:
        return dict(arrays)
    except FileNotFoundError:
      raise _missing(file, "evaluate") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
      raise UserError(f"{file}: not readable: {error}") from None

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
    return tuple(
      np.asarray([line[field] for line in lines], kind)
      for field, kind in (("step", np.int64), (name, np.float64), ("seconds", np.float64))
    )


def evaluations(directory: Path, names: Iterable[str]) -> dict[str, Evaluated]:
  """Those of the named evaluations that are there, in the order of `names`.

  Raises UserError where there is none, and, naming the file, where one cannot be read.
  """
  files = {name: directory / EVALUATION / f"{name}.json" for name in names}
  contents = {name: workdir.read_json(file) for name, file in files.items()}
  found = {name: _evaluated(files[name], content) for name, content in contents.items() if content is not None}
  if not found:
    raise UserError(f"{directory}: not evaluated yet ({EVALUATION}/ holds no results); run --stage=evaluate")
  return found


def training(directory: Path) -> Training:
  """Raises UserError, naming file and line, where metrics.jsonl is missing or cannot be read."""
  file = directory / workdir.METRICS
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
  return Training(tuple(values))


def _evaluated(file: Path, content: Any) -> Evaluated:
  fields = ("settings", "summary", "seconds")
  lacking = [name for name in fields if not isinstance(content, dict) or name not in content]
  if lacking:
    raise UserError(f"{file}: no {lacking[0]!r} in it; run --stage=evaluate again")
  return Evaluated(file, *(content[name] for name in fields))


def _missing(file: Path, stage: str) -> UserError:
  return UserError(f"{file}: missing; run --stage={stage}")
