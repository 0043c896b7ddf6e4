"""Checkpoint datasets in the layout of the public PyTorch release, read and written folder by folder.

DATASET/000000/data.mdb    LMDB: key -> float32 vector, key_arch -> sizes of the layers, as float32 too
DATASET/000000/runs.json   {"checkpoints": {key: {metric: number}}, "metadata": {...}}, in the order of training
DATASET/000000/DONE.txt    empty: the run is whole
DATASET/000001_000002/     fused runs: one data.mdb, and runs.json maps each run to the same
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import json
from pathlib import Path
import re
from typing import Any, NamedTuple, TypeVar

from jaxtyping import Float, Int
import numpy as np

from g_pt.errors import UserError
from g_pt.interop import command

DATABASE, INDEX, DONE = "data.mdb", "runs.json", "DONE.txt"
_STEP = re.compile(r"(?:ep(\d+)_)?it(\d+)\.pt$")
Read = TypeVar("Read")


class BadRunError(ValueError):
  """A run that cannot be read; the message says why, not which."""


class RunTable(NamedTuple):
  """One run, its vectors in the release's order."""

  keys: tuple[str, ...]  # of its checkpoints, in the order of training
  theta: Float[np.ndarray, "checkpoint parameter"]
  metrics: dict[str, Float[np.ndarray, "checkpoint"]]  # by the release's names


class Folder:
  """An open folder of a dataset; a context manager. Whatever cannot be read is a BadRunError."""

  def __init__(self, path: Path):
    self._runs = _index(path)
    self._environment = _environment(path / DATABASE)
    self._transaction = self._environment.begin(buffers=True)

  def __enter__(self) -> Folder:
    return self

  def __exit__(self, *unused) -> None:
    self._transaction.abort()
    self._environment.close()

  @property
  def runs(self) -> list[str]:
    return list(self._runs)

  def checkpoints(self, run: str) -> dict[str, dict[str, float]]:
    """Key -> metrics, in the order of training."""
    entry = self._runs.get(run)
    checkpoints = entry.get("checkpoints") if isinstance(entry, dict) else None
    if not isinstance(checkpoints, dict) or not all(isinstance(value, dict) for value in checkpoints.values()):
      raise BadRunError(f"{INDEX} lists no checkpoints of it")
    return checkpoints

  def vector(self, key: str) -> Float[np.ndarray, "entry"]:
    value = self._value(key)
    if len(value) % 4:
      raise BadRunError(f"{key} is {len(value)} bytes, not a vector of float32")
    return np.frombuffer(value, np.float32).copy()  # what is under a key lies in the file, while that is open

  def _value(self, key: str) -> memoryview:
    lmdb = command.library("lmdb")
    try:
      value = self._transaction.get(key.encode())
    except lmdb.Error as error:
      raise BadRunError(f"{DATABASE} is damaged at {key}: {error}") from None
    if value is None:
      raise BadRunError(f"{DATABASE} holds no {key}")
    return value

  def check(self, run: str, sizes: Sequence[int]) -> tuple[int, frozenset[str]]:
    """Looks at all of a run but its numbers: how many checkpoints, and the metrics that each of them has.

    `sizes` are those of a network's arrays, in the release's order.
    """
    checkpoints = self.checkpoints(run)
    metrics = [{name for name, value in numbers.items() if _is_number(value)} for numbers in checkpoints.values()]
    for key in checkpoints:
      if len(self._value(key)) != 4 * sum(sizes):
        raise BadRunError(f"{key} is a vector of {len(self._value(key)) / 4:g} numbers, not {sum(sizes)}")
    for key in list(checkpoints)[:1]:
      arch = self.vector(f"{key}_arch").astype(int).tolist()
      if arch != list(sizes):
        raise BadRunError(f"{key}_arch tells of layers of {arch} parameters, not {list(sizes)}")
    return len(checkpoints), frozenset(set.intersection(*metrics) if metrics else ())

  def read(self, run: str, metrics: Sequence[str]) -> RunTable:
    """All of a run; what `check` passed may have changed since."""
    checkpoints = self.checkpoints(run)
    vectors = [self.vector(key) for key in checkpoints]
    try:
      theta = np.stack(vectors)
      values = {name: np.array([numbers[name] for numbers in checkpoints.values()], np.float32) for name in metrics}
    except (ValueError, KeyError) as error:
      raise BadRunError(f"its checkpoints are not alike: {error}") from None
    return RunTable(tuple(checkpoints), theta, values)


def folders(dataset: Path) -> list[Path]:
  """The folders of a dataset, in the release's order; UserError where there is none."""
  found = sorted(path for path in dataset.glob("*") if path.is_dir() and not path.name.startswith("."))
  if not found:
    raise UserError(f"{dataset}: no dataset here: it has no folders of runs")
  return found


def visit(
  path: Path, read: Callable[[Folder, str], Read], runs: Sequence[str] | None = None
) -> Iterator[tuple[str, Read | BadRunError]]:
  """`read` of the runs of one folder (None: all of them), or why one cannot be read."""
  with contextlib.ExitStack() as stack:
    try:
      folder = stack.enter_context(Folder(path))
    except BadRunError as error:
      yield from ((run, error) for run in runs or path.name.split("_"))
      return
    for run in runs or folder.runs:
      try:
        yield run, read(folder, run)
      except BadRunError as error:
        yield run, error


def steps(keys: Sequence[str], steps_per_epoch: int | None) -> Int[np.ndarray, "checkpoint"]:
  """The training step of each checkpoint, read off its key, where keys tell; or else 0, 1, 2, ..."""
  matches = [match for key in keys if (match := _STEP.search(key))]
  # `it` counts from the start of the epoch `ep`, where there is one.
  if len(matches) == len(keys) and all(match[1] is None or steps_per_epoch for match in matches):
    found = np.array([int(match[1] or 0) * (steps_per_epoch or 0) + int(match[2]) for match in matches])
    if (np.diff(found) > 0).all():
      return found.astype(np.int32)
  return np.arange(len(keys), dtype=np.int32)


def write_folder(path: Path, runs: dict[str, RunTable], sizes: Sequence[int], best: dict[str, Callable]) -> None:
  """Writes runs as one new folder; several share its database. `best` is min or max for each metric."""
  lmdb = command.library("lmdb")
  path.mkdir(parents=True)
  arch = np.asarray(sizes, np.float32).tobytes()
  # The size of the map, not of the file; a vector may fill its last page badly.
  room = sum(table.theta.nbytes + 16384 * len(table.keys) for table in runs.values())
  with contextlib.closing(lmdb.open(str(path), map_size=2 * room + 2**24, lock=False)) as environment:
    with environment.begin(write=True) as transaction:
      for table in runs.values():
        for key, theta in zip(table.keys, table.theta):
          transaction.put(key.encode(), np.ascontiguousarray(theta, np.float32).tobytes())
          transaction.put(f"{key}_arch".encode(), arch)
  entries = {name: _entry(table, best) for name, table in runs.items()}
  content = entries if len(runs) > 1 else next(iter(entries.values()))
  (path / INDEX).write_text(json.dumps(content, indent=2))
  (path / DONE).touch()


def _entry(table: RunTable, best: dict[str, Callable]) -> dict[str, Any]:
  """What runs.json says of a run."""
  columns = {name: [float(value) for value in values] for name, values in table.metrics.items()}
  rows = {key: {name: column[i] for name, column in columns.items()} for i, key in enumerate(table.keys)}
  optimal = {f"optimal_{name}".replace("_avg", ""): best[name](column) for name, column in columns.items()}
  extremes = {"min_parameter_val": float(table.theta.min()), "max_parameter_val": float(table.theta.max())}
  return {"checkpoints": rows, "metadata": {**columns, **optimal, **extremes}}


def _is_number(value: Any) -> bool:
  return isinstance(value, (int, float)) and not isinstance(value, bool)


def _index(path: Path) -> dict[str, Any]:
  """Run -> what runs.json says of it, for both of its forms."""
  try:
    content = json.loads((path / INDEX).read_text())
  except OSError as error:
    raise BadRunError(f"{INDEX} cannot be read: {error.strerror}") from None
  except ValueError as error:
    raise BadRunError(f"{INDEX} is not JSON: {error}") from None
  if not isinstance(content, dict):
    raise BadRunError(f"{INDEX} is not a table of runs")
  return {path.name: content} if "checkpoints" in content else {run: content.get(run) for run in path.name.split("_")}


def _environment(file: Path) -> Any:
  """An LMDB to read from. LMDB does not see that a file is cut short: it would be killed when it reads there."""
  lmdb = command.library("lmdb")
  try:
    environment = lmdb.open(str(file.parent), readonly=True, lock=False, readahead=False)
  except lmdb.Error as error:
    raise BadRunError(f"{DATABASE} cannot be opened: {str(error).removeprefix(f'{file.parent}: ')}") from None
  needed, found = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"], file.stat().st_size
  if found < needed:
    environment.close()
    raise BadRunError(f"{DATABASE} is cut short: {found} of {needed} bytes")
  return environment
