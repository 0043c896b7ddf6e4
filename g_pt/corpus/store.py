"""A corpus on disk: zarr3 arrays and a manifest, written group by group.

    DIR/manifest.json              what it is, and which groups are whole
    DIR/theta/                     float32 [run, checkpoint, parameter]
    DIR/step/                      int32   [run, checkpoint]
    DIR/metrics/NAME/              float32 [run, checkpoint]

A group's chunks are written whole (a file, then a rename) before the manifest
names the group, so that a corpus killed at any moment goes on where it was.
Every chunk carries a CRC-32C; a damaged one is an error, not numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from g_pt.errors import CorpusError
from g_pt.workdir import write_json

MANIFEST = "manifest.json"
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Manifest:
  """What a corpus holds."""

  task: str
  settings: dict[str, Any]  # all that its numbers depend on: seed, recipe, checkpoints, ...
  parameters: list[list[Any]]  # [name, shape] in the order of the flat vector
  metrics: list[str]
  runs: int
  checkpoints: int
  group_size: int  # runs of a group; the last group may be smaller
  versions: dict[str, str]  # of the libraries that made it
  groups_done: list[int] = dataclasses.field(default_factory=list)
  seconds: float = 0.0  # spent on the groups done
  format: int = FORMAT

  @property
  def num_groups(self) -> int:
    return -(-self.runs // self.group_size)

  @property
  def complete(self) -> bool:
    return len(self.groups_done) == self.num_groups

  @property
  def imported(self) -> dict[str, Any] | None:
    """Where the runs came from if they were not made here; None: they were."""
    return self.settings.get("imported")


def read_manifest(path: Path) -> Manifest:
  """Raises CorpusError where there is none or it cannot be understood."""
  file = Path(path) / MANIFEST
  try:
    fields = json.loads(file.read_text())
    manifest = Manifest(**fields)
  except FileNotFoundError:
    raise CorpusError(f"{path}: no corpus here ({MANIFEST} is missing)") from None
  except (json.JSONDecodeError, TypeError) as error:
    raise CorpusError(f"{file}: not a corpus manifest: {error}") from None
  if manifest.format != FORMAT:
    raise CorpusError(f"{file}: format {manifest.format}; this version reads format {FORMAT}")
  return manifest


def _array(path: Path, shape: Sequence[int], chunk: Sequence[int], dtype: str, create: bool) -> ts.TensorStore:
  spec = {
    "driver": "zarr3",
    "kvstore": {"driver": "file", "path": str(path)},
    # A lost chunk must not read as zeros, so a chunk of zeros must be there.
    "fill_missing_data_reads": False,
    "store_data_equal_to_fill_value": True,
  }
  if not create:
    return ts.open(spec, open=True, read=True).result()
  spec["metadata"] = {
    "shape": list(shape),
    "data_type": dtype,
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
  }
  return ts.open(spec, open=True, create=True, read=True, write=True).result()


class Corpus:
  """An open corpus: read it whole or in part, or write a group."""

  def __init__(self, path: str | Path, manifest: Manifest, writable: bool = False):
    self.path = Path(path)
    self.manifest = manifest
    table = (manifest.runs, manifest.checkpoints)
    chunk = (min(manifest.group_size, manifest.runs), manifest.checkpoints)
    parameters = sum(int(np.prod(shape)) for _, shape in manifest.parameters)
    try:
      self.theta = _array(self.path / "theta", (*table, parameters), (*chunk, parameters), "float32", writable)
      self.step = _array(self.path / "step", table, chunk, "int32", writable)
      self.metrics = {
        name: _array(self.path / "metrics" / name, table, chunk, "float32", writable) for name in manifest.metrics
      }
    except ValueError as error:
      raise CorpusError(f"{self.path}: {_first_line(error)}") from None

  @classmethod
  def create(cls, path: str | Path, manifest: Manifest) -> Corpus:
    """A new corpus without groups. Arrays first: a manifest means that they are there."""
    corpus = cls(path, manifest, writable=True)
    write_json(corpus.path / MANIFEST, dataclasses.asdict(manifest))
    return corpus

  @classmethod
  def open(cls, path: str | Path, writable: bool = False) -> Corpus:
    """Raises CorpusError where there is no corpus."""
    return cls(path, read_manifest(Path(path)), writable)

  def runs_of_group(self, group: int) -> range:
    size = self.manifest.group_size
    return range(group * size, min((group + 1) * size, self.manifest.runs))

  def write_group(
    self, group: int, theta: np.ndarray, metrics: Mapping[str, np.ndarray], step: np.ndarray, seconds: float = 0.0
  ) -> None:
    """Writes a group's arrays [run, checkpoint, ...], then names it in the manifest."""
    runs = self.runs_of_group(group)
    rows = slice(runs.start, runs.stop)
    writes = [self.theta[rows].write(theta), self.step[rows].write(step)]
    writes += [self.metrics[name][rows].write(np.asarray(metrics[name])) for name in self.manifest.metrics]
    for write in writes:
      write.result()
    done = sorted({*self.manifest.groups_done, group})
    self.manifest = dataclasses.replace(
      self.manifest, groups_done=done, seconds=round(self.manifest.seconds + seconds, 3)
    )
    write_json(self.path / MANIFEST, dataclasses.asdict(self.manifest))

  def read(self, array: ts.TensorStore, rows: Any = slice(None)) -> np.ndarray:
    """Rows of one of the arrays; CorpusError where a chunk is damaged."""
    try:
      return array[rows].read().result()
    except ValueError as error:
      raise CorpusError(f"{self.path}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
  return str(error).strip().splitlines()[0]
