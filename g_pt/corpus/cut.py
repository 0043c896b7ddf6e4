"""A copy of a corpus, or of so many of its runs that it has a given size: the first ones of each split.

A cut is a corpus of its own. Its manifest says what it was cut from, so that each
of its runs is for what it was for there.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import math
from typing import Any, NamedTuple

from jaxtyping import Int
import numpy as np

from g_pt import progress
from g_pt.corpus.manifest import Manifest
from g_pt.corpus.storage import Place
from g_pt.corpus.store import Corpus
from g_pt.errors import UserError

# Bytes of a checkpoint beside its numbers (checksums, its row in a table); of a file of each array, with its checksum,
# and of each part of one, its place in that file; of a corpus's files beside its runs.
_BESIDE_CHECKPOINT, _BESIDE_FILE, _BESIDE_PART, BESIDE_RUNS = 64, 100, 20, 2**16


class Choice(NamedTuple):
  """Runs of a corpus that are copied, rising, and how many make a group of the copy."""

  runs: Int[np.ndarray, "run"]
  group_size: int


def whole(manifest: Manifest) -> Choice:
  return Choice(np.arange(manifest.runs), manifest.group_size)


def within(manifest: Manifest, starts: Sequence[int], room: int) -> Choice:
  """Whole groups, the first ones of each split, for which there is room; all where there is room for all.

  Args:
    manifest: of a corpus.
    starts: the first run of each split, rising.
    room: bytes, of a corpus and of what is published with it, without BESIDE_RUNS.

  Where not even a group of each split fits, the first runs of one group of each are
  taken. Raises UserError where not even a run of each fits.
  """
  one = _bytes_of_run(manifest)
  parts = [part for part in np.split(np.arange(manifest.runs), np.asarray(starts)[1:]) if len(part)]
  unit = manifest.group_size if manifest.imported is None else 1
  fitting = room // one
  if fitting >= manifest.runs:
    return whole(manifest)
  if fitting < len(parts):
    needed = f"a run of each split is {len(parts) * one / 1e6:.2g} MB"
    raise UserError(f"--tiny: {needed}, and there is room for {max(0, room) / 1e6:.2g} MB")
  if fitting < len(parts) * unit:
    most = fitting // len(parts)
    return Choice(np.concatenate([part[:most] for part in parts]), most)
  units = [-(-len(part) // unit) for part in parts]
  # One of each split, and of what is left as much as there is room for, of each split the same share.
  more, others = fitting // unit - len(parts), max(1, sum(units) - len(parts))
  counts = [1 + (count - 1) * more // others for count in units]
  runs = np.concatenate([part[: count * unit] for part, count in zip(parts, counts)])
  return Choice(runs, min(manifest.group_size, len(runs)))


def size(manifest: Manifest) -> int:
  """About so many bytes are published of a whole corpus."""
  return manifest.runs * _bytes_of_run(manifest)


def _bytes_of_run(manifest: Manifest) -> int:
  parameters = sum(int(np.prod(shape)) for _, shape in manifest.parameters)
  # A metric is in an array and in a table.
  of_checkpoints = manifest.checkpoints * (4 * parameters + 8 * len(manifest.metrics) + _BESIDE_CHECKPOINT)
  arrays = 3 + len(manifest.metrics)
  return of_checkpoints + arrays * (_BESIDE_PART + math.ceil(_BESIDE_FILE / manifest.group_size))


def copy(corpus: Corpus, choice: Choice, out: Place) -> Corpus:
  """Writes the runs, group by group, as a corpus; every number is read and checked on the way.

  Of all runs the files are those of the corpus. Raises CorpusError where the corpus is
  damaged or `out` cannot be written.
  """
  made = Corpus.create(out, _manifest(corpus, choice))
  with progress.bar(total=len(choice.runs), desc="copy", unit="run") as bar:
    for group in range(made.manifest.num_groups):
      rows = choice.runs[made.runs_of_group(group)]
      metrics = {name: corpus.read(array, rows) for name, array in corpus.metrics.items()}
      arrays = corpus.read(corpus.theta, rows), metrics, corpus.read(corpus.step, rows)
      made.write_group(group, *arrays, remedy="nothing is left of it")
      bar.update(len(rows))
  return made


def _manifest(corpus: Corpus, choice: Choice) -> Manifest:
  """That of the copy, without groups."""
  before, settings = corpus.manifest, dict(corpus.manifest.settings)
  if before.imported is not None:  # from a folder that nobody else has
    settings["imported"] = before.imported | {"source": before.imported["source"].rstrip("/").rpartition("/")[-1]}
  if len(choice.runs) < before.runs:
    original = before.cut or {"runs": before.runs, "group_size": before.group_size}
    settings["cut"] = original | {"parts": _ranges(corpus.original_runs()[choice.runs])}
  return dataclasses.replace(
    before,
    settings=settings,
    runs=len(choice.runs),
    group_size=choice.group_size,
    groups_done=[],
    seconds=round(before.seconds * len(choice.runs) / before.runs, 3),
  )


def _ranges(numbers: Int[np.ndarray, "run"]) -> list[Any]:
  """Rising numbers as [first, last + 1] of those that follow each other."""
  parts = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
  return [[int(part[0]), int(part[-1]) + 1] for part in parts]
