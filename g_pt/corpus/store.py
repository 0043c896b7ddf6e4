"""A corpus on disk: zarr3 arrays and a manifest, written group by group.

    DIR/manifest.json              what it is, and which groups are whole
    DIR/manifest.N.json            groups that the process N of a job has made, N from 1
    DIR/theta/                     float32 [run, checkpoint, parameter]
    DIR/step/                      int32   [run, checkpoint]
    DIR/metrics/NAME/              float32 [run, checkpoint]
    DIR/largest/                   float32 [run], the greatest magnitude of any weight of the run

A chunk is one run, and can be read alone; the chunks of a group are one file, a
shard (zarr3's sharding_indexed). A group's shards are written whole (a file,
then a rename) before the manifest names the group, so that a corpus killed at
any moment goes on where it was. Every chunk and every shard's index carries a
CRC-32C; a damaged one is an error, not numbers. A shard that is gone, or deleted
because it is damaged, is made again with its group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import fcntl
import json
import os
from pathlib import Path
import socket
from typing import Any

from jaxtyping import Float, Int
import numpy as np
import tensorstore as ts

from g_pt.errors import CorpusError
from g_pt.workdir import write_json

MANIFEST = "manifest.json"
FORMAT = 2  # 1, and corpora that name none: a chunk was a whole group
_BLOCK = 2**25  # bytes of chunks read at once; they lie in memory beside what they are copied to


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
  """Raises CorpusError where there is none, or one of another format, or one that cannot be understood."""
  file = Path(path) / MANIFEST
  try:
    fields = json.loads(file.read_text())
    if isinstance(fields, dict) and fields.get("format") != FORMAT:
      found = f"format {fields['format']}" if "format" in fields else "no format"
      raise CorpusError(
        f"{file}: {found}, and this version reads format {FORMAT}; make the corpus again by --stage=corpus, "
        f"after deleting {path} or with another place in --config.corpus.path"
      )
    return _merged(Manifest(**fields), Path(path))
  except FileNotFoundError:
    raise CorpusError(f"{path}: no corpus here ({MANIFEST} is missing)") from None
  except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
    raise CorpusError(f"{file}: not a corpus manifest: {error}") from None


def _merged(manifest: Manifest, path: Path) -> Manifest:
  """With what the other processes of a job have made; the seconds are those of the slowest."""
  done, seconds = set(manifest.groups_done), manifest.seconds
  for file in path.glob("manifest.*.json"):
    fields = json.loads(file.read_text())
    done, seconds = done | {*fields["groups_done"]}, max(seconds, fields["seconds"])
  return dataclasses.replace(manifest, groups_done=sorted(done), seconds=seconds)


def _array(path: Path, shape: Sequence[int], group_size: int, dtype: str, create: bool) -> ts.TensorStore:
  """An array whose first axis is the run: a chunk a run, a shard a group."""
  spec = {
    "driver": "zarr3",
    "kvstore": {"driver": "file", "path": str(path)},
    # A lost chunk must not read as zeros, so a chunk of zeros must be there.
    "fill_missing_data_reads": False,
    "store_data_equal_to_fill_value": True,
  }
  if not create:
    return ts.open(spec, open=True, read=True).result()
  checked = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
  chunks = {"chunk_shape": [1, *shape[1:]], "codecs": checked, "index_codecs": checked}
  spec["metadata"] = {
    "shape": list(shape),
    "data_type": dtype,
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [group_size, *shape[1:]]}},
    "codecs": [{"name": "sharding_indexed", "configuration": chunks}],
  }
  return ts.open(spec, open=True, create=True, read=True, write=True).result()


class Corpus:
  """An open corpus: read it whole or in part, or write a group."""

  def __init__(self, path: str | Path, manifest: Manifest, writable: bool = False, process: int = 0):
    self.path = Path(path)
    self._process = process  # of those that write it together
    self.manifest = manifest
    table = (manifest.runs, manifest.checkpoints)
    parameters = sum(int(np.prod(shape)) for _, shape in manifest.parameters)
    group_size = min(manifest.group_size, manifest.runs)

    def array(name: str, shape: Sequence[int], dtype: str = "float32") -> ts.TensorStore:
      return _array(self.path / name, shape, group_size, dtype, writable)

    try:
      self.theta = array("theta", (*table, parameters))
      self.step = array("step", table, "int32")
      self.metrics = {name: array(f"metrics/{name}", table) for name in manifest.metrics}
      self.largest = array("largest", table[:1])
    except ValueError as error:
      raise CorpusError(f"{self.path}: {_first_line(error)}") from None

  @classmethod
  def create(cls, path: str | Path, manifest: Manifest) -> Corpus:
    """A new corpus without groups. Arrays first: a manifest means that they are there."""
    corpus = cls(path, manifest, writable=True)
    write_json(corpus.path / MANIFEST, dataclasses.asdict(manifest))
    return corpus

  @classmethod
  def open(cls, path: str | Path, writable: bool = False, process: int = 0) -> Corpus:
    """Raises CorpusError where there is no corpus."""
    return cls(path, read_manifest(Path(path)), writable, process)

  def runs_of_group(self, group: int) -> range:
    size = self.manifest.group_size
    return range(group * size, min((group + 1) * size, self.manifest.runs))

  @contextlib.contextmanager
  def writing(self) -> Iterator[None]:
    """Nobody else writes the same groups meanwhile; CorpusError where somebody does. A killed process holds nothing."""
    place = self.path / f".writing.{self._process}"
    with place.open("a+") as lock:
      try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
      except OSError:
        lock.seek(0)
        raise CorpusError(
          f"{self.path}: {lock.read().strip() or 'another process'} is writing this corpus; wait for it, "
          "or give another place by --config.corpus.path"
        ) from None
      lock.truncate(0)
      lock.write(f"process {os.getpid()} on {socket.gethostname()}")
      lock.flush()
      yield

  def forget_lost(self) -> None:
    """Takes groups for not done of which a file is gone."""
    arrays = {"theta": self.theta, "step": self.step, "largest": self.largest}
    arrays |= {f"metrics/{name}": array for name, array in self.metrics.items()}

    def whole(group: int) -> bool:
      return all((self.path / n / "c" / str(group)).joinpath(*["0"] * (x.rank - 1)).exists() for n, x in arrays.items())

    done = [group for group in self.manifest.groups_done if whole(group)]
    self.manifest = dataclasses.replace(self.manifest, groups_done=done)

  def write_group(
    self, group: int, theta: np.ndarray, metrics: Mapping[str, np.ndarray], step: np.ndarray, seconds: float = 0.0
  ) -> None:
    """Writes a group's arrays [run, checkpoint, ...] and the largest weights, then names it in the manifest.

    Raises CorpusError where that cannot be done: a full disk, say.
    """
    try:
      self._write(group, theta, metrics, step)
      self._name(group, seconds)
    except (ValueError, OSError) as error:
      raise CorpusError(
        f"{self.path}: group {group} cannot be written ({_first_line(error)}); once that is mended the same command "
        "goes on: the groups before it stay"
      ) from None

  def _write(self, group: int, theta: np.ndarray, metrics: Mapping[str, np.ndarray], step: np.ndarray) -> None:
    runs = self.runs_of_group(group)
    rows = slice(runs.start, runs.stop)
    # TensorStore need not copy theta: this returns when all is on disk, and nothing is kept in memory.
    writes = [self.theta[rows].write(theta, can_reference_source_data_indefinitely=True), self.step[rows].write(step)]
    writes += [self.metrics[name][rows].write(np.asarray(metrics[name])) for name in self.manifest.metrics]
    writes.append(self.largest[rows].write(_largest(theta)))
    for write in writes:
      write.result()

  def _name(self, group: int, seconds: float) -> None:
    done = sorted({*self.manifest.groups_done, group})
    self.manifest = dataclasses.replace(
      self.manifest, groups_done=done, seconds=round(self.manifest.seconds + seconds, 3)
    )
    fields = dataclasses.asdict(self.manifest)
    if self._process:
      fields = {name: fields[name] for name in ("groups_done", "seconds")}
    write_json(self.path / (f"manifest.{self._process}.json" if self._process else MANIFEST), fields)

  def reread(self) -> None:
    """Looks again at which groups are there."""
    self.manifest = read_manifest(self.path)

  def read(self, array: ts.TensorStore, rows: Any = slice(None), checkpoint: int | None = None) -> np.ndarray:
    """Rows of one of the arrays, [row, checkpoint, ...], or [row, ...] at one checkpoint.

    `rows` is what indexes the runs: a number (whose axis is gone), a slice, or
    an array. Only their chunks are read. Raises CorpusError where one is damaged.
    """
    runs = np.arange(self.manifest.runs)[rows]
    if runs.ndim == 0:
      return self.read(array, runs[None], checkpoint)[0, ...]
    saved = () if checkpoint is None else (range(self.manifest.checkpoints)[checkpoint],)
    numbers = np.empty((len(runs), *array.shape[1 + len(saved) :]), array.dtype.numpy_dtype)
    for block in _blocks(array, len(runs)):
      numbers[block] = self._numbers(array.oindex[(runs[block], *saved)])
    return numbers

  def read_points(
    self, runs: Int[np.ndarray, "point"], checkpoints: Int[np.ndarray, "point"]
  ) -> Float[np.ndarray, "point parameter"]:
    """One checkpoint of one run a point; every run among them is read once. Raises CorpusError as `read` does."""
    runs = np.arange(self.manifest.runs)[runs]
    checkpoints = np.arange(self.manifest.checkpoints)[checkpoints]
    distinct, place = np.unique(runs, return_inverse=True)
    numbers = np.empty((len(runs), self.theta.shape[2]), np.float32)
    for block in _blocks(self.theta, len(distinct)):
      points = np.flatnonzero((block.start <= place) & (place < block.stop))
      numbers[points] = self._numbers(self.theta.vindex[runs[points], checkpoints[points]])
    return numbers

  def _numbers(self, view: ts.TensorStore) -> np.ndarray:
    try:
      return view.read().result()
    except ValueError as error:
      again = "delete that file, and --stage=corpus makes its group again"
      remedy = "import it again" if self.manifest.imported else again
      raise CorpusError(f"{self.path}: {_first_line(error)}; {remedy}") from None


def _blocks(array: ts.TensorStore, count: int) -> Iterator[slice]:
  """Cuts `count` runs of an array into parts that are read at once."""
  size = max(1, _BLOCK // (array.dtype.numpy_dtype.itemsize * int(np.prod(array.shape[1:]))))
  return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _largest(theta: Float[np.ndarray, "run checkpoint parameter"]) -> Float[np.ndarray, "run"]:
  """The greatest magnitude of any number of a run; inf where one is not finite."""
  # A NaN is the maximum of what holds it; maximum and minimum make no copy of theta, and a run fits in a cache.
  largest = np.array([max(run.max(), -run.min()) for run in theta], np.float32)
  return np.where(np.isfinite(largest), largest, np.float32(np.inf))


def _first_line(error: Exception) -> str:
  return str(error).strip().splitlines()[0]
