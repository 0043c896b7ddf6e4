"""A corpus in a folder or a bucket: zarr3 arrays and a manifest, written group by group.

    DIR/manifest.json              what it is, and which groups are whole
    DIR/manifest.N.json            groups that the process N of a job has made, N from 1
    DIR/theta/                     float32 [run, checkpoint, parameter]
    DIR/step/                      int32   [run, checkpoint]
    DIR/metrics/NAME/              float32 [run, checkpoint]
    DIR/largest/                   float32 [run], the greatest magnitude of any weight of the run

A chunk is some checkpoints of one run, 64 KB at most if one is not more, and can
be read alone; the chunks of a group are one file, a shard (zarr3's
sharding_indexed). A group's shards are written whole (a file,
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
import math
import os
from pathlib import Path
import re
import socket
from typing import Any

from jaxtyping import Float, Int
import numpy as np
import tensorstore as ts

from g_pt.corpus import storage
from g_pt.corpus.manifest import MANIFEST, Manifest, other_manifests, read_manifest
from g_pt.errors import CorpusError, first_line
from g_pt.workdir import json_bytes

_BLOCK = 2**25  # bytes of chunks read at once; they lie in memory beside what they are copied to
# What says nothing about the data.
_OUT_OF_REACH = "UNAVAILABLE|ABORTED|PERMISSION_DENIED|UNAUTHENTICATED|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED"
_CHUNK = 2**16  # bytes; what a pair costs to read alone


def _array(
  place: storage.Place, name: str, shape: Sequence[int], group_size: int, dtype: str, create: bool
) -> ts.TensorStore:
  """An array whose first axis is the run: a chunk is a part of a run, a shard a group."""
  spec = {
    **storage.array_spec(place, name),
    # A lost chunk must not read as zeros, so a chunk of zeros must be there.
    "fill_missing_data_reads": False,
    "store_data_equal_to_fill_value": True,
  }
  context = storage.context_of(place)
  if not create:
    return ts.open(spec, open=True, read=True, context=context).result()
  checked = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
  chunks = {"chunk_shape": _chunk(shape), "codecs": checked, "index_codecs": checked}
  spec["metadata"] = {
    "shape": list(shape),
    "data_type": dtype,
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [group_size, *shape[1:]]}},
    "codecs": [{"name": "sharding_indexed", "configuration": chunks}],
  }
  return ts.open(spec, open=True, create=True, read=True, write=True, context=context).result()


def _chunk(shape: Sequence[int]) -> list[int]:
  """Of [run, checkpoint, ...]: one run, as many checkpoints as are small enough together and divide those of a run."""
  if len(shape) < 3:
    return [1, *shape[1:]]
  most = max(1, _CHUNK // (4 * shape[2]))
  return [1, max(count for count in range(1, min(most, shape[1]) + 1) if shape[1] % count == 0), shape[2]]


class Corpus:
  """An open corpus: read it whole or in part, or write a group."""

  def __init__(self, path: storage.Place, manifest: Manifest, writable: bool = False, process: int = 0):
    self.path = storage.place_of(path)
    if writable and storage.read_only(self.path):
      raise CorpusError(f"{self.path}: a published corpus, for reading only; one is made in a folder or a bucket")
    self._process = process  # of those that write it together
    self.manifest = manifest
    table = (manifest.runs, manifest.checkpoints)
    parameters = sum(int(np.prod(shape)) for _, shape in manifest.parameters)
    group_size = min(manifest.group_size, manifest.runs)

    def array(name: str, shape: Sequence[int], dtype: str = "float32") -> ts.TensorStore:
      return _array(self.path, name, shape, group_size, dtype, writable)

    try:
      self.theta = array("theta", (*table, parameters))
      self.step = array("step", table, "int32")
      self.metrics = {name: array(f"metrics/{name}", table) for name in manifest.metrics}
      self.largest = array("largest", table[:1])
    except (ValueError, OSError, RuntimeError) as error:
      raise CorpusError(f"{self.path}: {first_line(error)}") from None

  @classmethod
  def create(cls, path: storage.Place, manifest: Manifest) -> Corpus:
    """A new corpus without groups. Arrays first: a manifest means that they are there."""
    storage.names(storage.place_of(path), MANIFEST)  # in a bucket that is not there, arrays would be tried for ever
    corpus = cls(path, manifest, writable=True)
    storage.write_bytes(corpus.path, MANIFEST, json_bytes(dataclasses.asdict(manifest)))
    return corpus

  @classmethod
  def open(cls, path: storage.Place, writable: bool = False, process: int = 0) -> Corpus:
    """Raises CorpusError where there is no corpus."""
    return cls(path, read_manifest(path), writable, process)

  def groups_of(self, runs: Int[np.ndarray, "run"]) -> Int[np.ndarray, "group"]:
    """Those that some runs belong to, rising."""
    return np.unique(runs // self.manifest.group_size)

  def runs_of_group(self, group: int) -> range:
    size = self.manifest.group_size
    return range(group * size, min((group + 1) * size, self.manifest.runs))

  def original_runs(self) -> Int[np.ndarray, "run"]:
    """The number of each run in the corpus that this one was cut from; its own where it is whole."""
    cut = self.manifest.cut
    return np.concatenate([np.arange(*part) for part in (cut["parts"] if cut else [[0, self.manifest.runs]])])

  def original_groups(self, groups: Int[np.ndarray, "group"]) -> Int[np.ndarray, "group"]:
    """The same of groups; by it a group has its random numbers."""
    cut, size = self.manifest.cut, self.manifest.group_size
    return self.original_runs()[groups * size] // (cut["group_size"] if cut else size)

  @contextlib.contextmanager
  def writing(self) -> Iterator[None]:
    """Nobody else writes the same groups meanwhile; CorpusError where somebody does. A killed process holds nothing.

    A bucket has no such lock: two that write there write the same numbers twice.
    """
    if not isinstance(self.path, Path):
      yield
      return
    place = self.path / f".writing.{self._process}"
    try:
      opened = place.open("a+")
    except OSError as error:
      raise CorpusError(f"{self.path}: cannot be written to: {error.strerror}") from None
    with opened as lock:
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

  def settle(self) -> None:
    """One manifest, of the groups that are whole; for the first process, before any of them reads or writes."""
    before, others = self.manifest, other_manifests(self.path)
    self.forget_lost()
    if self.manifest != before or others:
      with self.writing():
        others = other_manifests(self.path)
        self.reread()
        self.forget_lost()
        storage.write_bytes(self.path, MANIFEST, json_bytes(dataclasses.asdict(self.manifest)))
        for name in others:
          storage.delete(self.path, name)

  def forget_lost(self) -> None:
    """Takes groups for not done of which a file is gone."""
    arrays = {"theta": self.theta, "step": self.step, "largest": self.largest}
    arrays |= {f"metrics/{name}": array for name, array in self.metrics.items()}

    there = {name: {*storage.names(self.path, f"{name}/c/")} for name in arrays}

    def whole(group: int) -> bool:
      rest = {name: "/0" * (array.rank - 1) for name, array in arrays.items()}
      return all(f"{name}/c/{group}{rest[name]}" in there[name] for name in arrays)

    done = [group for group in self.manifest.groups_done if whole(group)]
    self.manifest = dataclasses.replace(self.manifest, groups_done=done)

  def write_group(
    self,
    group: int,
    theta: np.ndarray,
    metrics: Mapping[str, np.ndarray],
    step: np.ndarray,
    seconds: float = 0.0,
    remedy: str = "once that is mended the same command goes on: the groups before it stay",
  ) -> None:
    """Writes a group's arrays [run, checkpoint, ...] and the largest weights, then names it in the manifest.

    Raises CorpusError, with the remedy, where that cannot be done: a full disk, say.
    """
    try:
      self._write(group, theta, metrics, step)
      self._name(group, seconds)
    except (ValueError, OSError, RuntimeError) as error:
      raise CorpusError(f"{self.path}: group {group} cannot be written ({first_line(error)}); {remedy}") from None

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
    found = read_manifest(self.path)  # another job may have been here
    done = sorted({*self.manifest.groups_done, *found.groups_done, group})
    self.manifest = dataclasses.replace(
      self.manifest, groups_done=done, seconds=round(self.manifest.seconds + seconds, 3)
    )
    fields = dataclasses.asdict(self.manifest)
    if self._process:
      fields = {name: fields[name] for name in ("groups_done", "seconds")}
    name = f"manifest.{self._process}.json" if self._process else MANIFEST
    storage.write_bytes(self.path, name, json_bytes(fields))

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
    for block in _blocks(array.dtype.numpy_dtype.itemsize * math.prod(array.shape[1:]), len(runs)):
      numbers[block] = self._numbers(array.oindex[(runs[block], *saved)])
    return numbers

  def read_points(
    self, runs: Int[np.ndarray, "point"], checkpoints: Int[np.ndarray, "point"]
  ) -> Float[np.ndarray, "point parameter"]:
    """One checkpoint of one run a point; every chunk among them is read once. Raises CorpusError as `read` does."""
    runs = np.arange(self.manifest.runs)[runs]
    checkpoints = np.arange(self.manifest.checkpoints)[checkpoints]
    _, together, size = np.array(self.theta.chunk_layout.read_chunk.shape)
    chunks = runs * self.manifest.checkpoints + checkpoints // together
    distinct, place = np.unique(chunks, return_inverse=True)
    numbers = np.empty((len(runs), self.theta.shape[2]), np.float32)
    for block in _blocks(4 * int(together * size), len(distinct)):
      points = np.flatnonzero((block.start <= place) & (place < block.stop))
      numbers[points] = self._numbers(self.theta.vindex[runs[points], checkpoints[points]])
    return numbers

  def _numbers(self, view: ts.TensorStore) -> np.ndarray:
    try:
      return view.read().result()
    except (ValueError, OSError, RuntimeError) as error:
      remedy = "delete that file, and --stage=corpus makes its group again"
      if re.match(_OUT_OF_REACH, str(error)) or isinstance(error, OSError):
        remedy = "once it can be reached, the same command goes on"
      elif storage.read_only(self.path):
        remedy = storage.fetch_again(str(self.path))
      elif self.manifest.imported:
        remedy = "import it again"
      elif self.manifest.cut:
        remedy = "fetch it again"
      raise CorpusError(f"{self.path}: {first_line(error)}; {remedy}") from None


def _blocks(bytes_of_one: int, count: int) -> Iterator[slice]:
  """Cuts `count` runs or chunks into parts that are read at once."""
  size = max(1, _BLOCK // bytes_of_one)
  return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _largest(theta: Float[np.ndarray, "run checkpoint parameter"]) -> Float[np.ndarray, "run"]:
  """The greatest magnitude of any number of a run; inf where one is not finite."""
  # A NaN is the maximum of what holds it; maximum and minimum make no copy of theta, and a run fits in a cache.
  largest = np.array([max(run.max(), -run.min()) for run in theta], np.float32)
  return np.where(np.isfinite(largest), largest, np.float32(np.inf))
