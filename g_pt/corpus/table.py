"""What is known of each checkpoint of a corpus beside its weights, as a table that other programs read."""

from __future__ import annotations

import io

from jaxtyping import Shaped
import numpy as np
import pyarrow as pa
from pyarrow import Table
import pyarrow.parquet as pq

from g_pt.corpus.split import Split
from g_pt.corpus.store import Corpus

SPLITS = ("train", "validation", "test")
REJECTED = "rejected"
# Columns beside the metrics; of runs that were made elsewhere `group` and `seed` are not known and not there.
COLUMNS = {
  "run": "number of the run: first index of the arrays",
  "checkpoint": "number of the checkpoint in its run: second index of the arrays; 0 has the initial parameters",
  "step": "optimizer steps (of reinforcement learning: updates) before the checkpoint",
  "split": f"what the run is for: {', '.join(SPLITS)}; {REJECTED}: a number that is not finite, or a weight too large",
  "group": "runs of a group share the order of their minibatches, of many data sets their data set",
  "original_run": "number of the run in the corpus that this one was cut from, its own where that is whole",
  "seed": "of all random numbers; with it `group` and `original_run` give the keys of a group and of a run",
}


def split_names(split: Split, runs: int) -> Shaped[np.ndarray, "run"]:
  """What each run is for: one of SPLITS, or REJECTED."""
  names = np.full(runs, REJECTED, object)
  for name in SPLITS:
    names[getattr(split, name)] = name
  return names


def checkpoints(corpus: Corpus, split: Shaped[np.ndarray, "run"]) -> Table:
  """A row a checkpoint, run by run: COLUMNS and each metric. It is in memory, some 60 bytes a row."""
  manifest = corpus.manifest
  runs, count = np.arange(manifest.runs, dtype=np.int32), manifest.checkpoints
  of_run = {"run": runs, "split": split, "original_run": corpus.original_runs().astype(np.int32)}
  if manifest.imported is None:
    of_run["group"] = corpus.original_groups(runs // manifest.group_size).astype(np.int32)
    of_run["seed"] = np.full(len(runs), manifest.settings["seed"], np.int64)
  columns = {name: np.repeat(values, count) for name, values in of_run.items()}
  columns["checkpoint"] = np.tile(np.arange(count, dtype=np.int32), len(runs))
  columns["step"] = corpus.read(corpus.step).ravel()
  metrics = {name: corpus.read(array).ravel() for name, array in corpus.metrics.items()}
  return pa.table({name: columns[name] for name in COLUMNS if name in columns} | metrics)


def kinds(table: Table) -> dict[str, str]:
  """Of each column, in words: int, float or text."""

  def kind(of: pa.DataType) -> str:
    return "int" if pa.types.is_integer(of) else "float" if pa.types.is_floating(of) else "text"

  return {field.name: kind(field.type) for field in table.schema}


def parquet_bytes(table: Table) -> bytes:
  buffer = io.BytesIO()
  pq.write_table(table, buffer, compression="zstd")
  return buffer.getvalue()
