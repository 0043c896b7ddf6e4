"""How fast pairs come from a corpus that memory does not hold, against what a training step eats.

  command   python -m experiments.benchmarks.streaming --corpus=runs/mnist_loss/corpus --workdir=runs/streaming \
                [--config=experiments/mnist_loss.py] [--gigabytes=20] [--steps=100]
  time      five minutes, and as much disk as the corpus takes; a second call goes on with what is there

A corpus is repeated until it is as large as is asked for, so that its numbers are
those of networks. Pairs are read as training reads them, from two threads: once
after the kernel has been told to forget the files (disk), and once more (memory of
the kernel). Then `main.py` trains on it, a process of its own whose peak of
memory is told, and on the corpus itself, held in memory. A batch is as large as
the experiment's; the limit that is stated is a plain sequential read of the same files.

On two cores of an EPYC, with another job beside, 20.9 GB of MNIST networks (64 KB a pair):
6,460 pairs/s from disk, where a sequential read would give 14,519; 11,691 from the
kernel's memory; training eats 921 streamed (peak of memory 2.0 GB) and 1,007 resident (9.8
GB, of the 4.2 GB that were repeated).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import dataclasses
import importlib
import json
import os
from pathlib import Path
import sys
import time
from typing import Any

import jax
import numpy as np

from experiments.benchmarks import measure
from g_pt import config, generator, progress, sharding, tasks
from g_pt.corpus.pairs import Stored, sort_targets
from g_pt.corpus.statistics import Statistics
from g_pt.corpus.store import Corpus
from g_pt.keys import stream
from g_pt.parameters.units import UnitStatistics
from g_pt.train import feed
from g_pt.train.step import Step

BATCHES = 60  # whose reading is timed


def repeated(source: Corpus, path: Path, size: float) -> Corpus:
  """The runs of a corpus over and over, to `size` bytes; goes on where it was stopped."""
  manifest = source.manifest
  parameters = source.theta.shape[2]
  copies = -(-int(size) // (4 * manifest.runs * manifest.checkpoints * parameters))
  runs = copies * manifest.num_groups * manifest.group_size
  wanted = dataclasses.replace(
    manifest, runs=runs, settings=manifest.settings | {"runs": runs}, groups_done=[], seconds=0.0
  )
  made = Corpus.open(path, writable=True) if (path / "manifest.json").exists() else Corpus.create(path, wanted)
  if made.manifest.runs != runs or manifest.runs % manifest.group_size:
    sys.exit(f"{path}: {made.manifest.runs} runs, not whole groups of {runs}: another --workdir, or --corpus")
  missing = [group for group in range(wanted.num_groups) if group not in made.manifest.groups_done]
  with progress.bar(wanted.num_groups, initial=wanted.num_groups - len(missing), desc="corpus", unit="group") as bar:
    for group in missing:
      of_group = source.runs_of_group(group % manifest.num_groups)
      rows = slice(of_group.start, of_group.stop)
      metrics = {name: source.read(array, rows) for name, array in source.metrics.items()}
      made.write_group(group, source.read(source.theta, rows), metrics, source.read(source.step, rows))
      bar.update(1)
  return made


def forget(corpus: Corpus) -> None:
  """Tells the kernel to keep nothing of a corpus's files in memory."""
  for file in shards(corpus):
    with file.open("rb") as opened:
      os.fsync(opened.fileno())
      os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def shards(corpus: Corpus) -> list[Path]:
  """The files of the parameters."""
  return sorted(file for file in (Path(corpus.path) / "theta" / "c").rglob("*") if file.is_file())


def sequential(corpus: Corpus, size: int = 2**30) -> float:
  """Bytes a second of a plain read of the corpus's files."""
  read, began = 0, time.perf_counter()
  for file in shards(corpus):
    read += len(file.read_bytes())
    if read >= size:
      break
  return read / (time.perf_counter() - began)


def reading(corpus: Corpus, experiment: config.Experiment) -> Callable[[int], float]:
  """A first step -> pairs a second of the batches from it on, read as training reads them."""
  task, values = tasks.get(experiment.task), corpus.read(corpus.metrics[experiment.metric])
  metric = task.metric(experiment.metric)
  targets = sort_targets(values, metric, experiment.train.pairs)
  std = dict.fromkeys(task.spec.names, np.array(1.0, np.float32))
  statistics_of = Statistics(UnitStatistics(std, std), prompt_range=None, census=None)
  plain = dataclasses.replace(experiment.diffusion, precondition=False, directions=0)
  made = generator.build(task.spec, metric, experiment.model, plain, statistics_of)
  step = Step(task, made, experiment.train, sharding.make_mesh(experiment.mesh))

  def speed(first: int) -> float:
    with feed.feeding(step, Stored(corpus.read_points, targets), stream(0, "train", "step"), first) as batches:
      jax.block_until_ready(next(batches))
      began = time.perf_counter()
      for _ in range(BATCHES):
        jax.block_until_ready(next(batches))
      return BATCHES * experiment.train.batch_size / (time.perf_counter() - began)

  return speed


def training(arguments: argparse.Namespace, corpus: Corpus, streamed: bool, workdir: Path) -> tuple[float, float]:
  """(pairs a second that training eats, its peak of memory in bytes)."""
  changes = {
    "corpus.path": corpus.path,
    "corpus.runs": corpus.manifest.runs,
    "train.stream": streamed,
    "train.steps": arguments.steps,
    "train.log_every": 10,
    "train.probe_every": 0,
    "train.history": 0,
    "train.checkpoint_every": arguments.steps,
  }
  peak = measure.stage(arguments.config, "train", workdir, changes)
  return experiment_of(arguments).train.batch_size / measure.step_seconds(workdir), peak


def experiment_of(arguments: argparse.Namespace) -> config.Experiment:
  module = arguments.config.removesuffix(".py").replace("/", ".")
  return config.parse(importlib.import_module(module).get_config().to_dict())


def results(arguments: argparse.Namespace) -> dict[str, Any]:
  source = Corpus.open(arguments.corpus)
  corpus = repeated(source, arguments.workdir / "corpus", 1e9 * arguments.gigabytes)
  speed = reading(corpus, experiment_of(arguments))
  forget(corpus)
  bandwidth = sequential(corpus)
  forget(corpus)
  from_disk = speed(0)
  again = speed(0)
  found = {
    "gigabytes": 4 * float(np.prod(corpus.theta.shape)) / 1e9,
    "sequential_bytes_a_second": bandwidth,
    "bytes_of_a_pair": 2 * 4 * corpus.theta.shape[2],
    "pairs_a_second_from_disk": from_disk,
    "pairs_a_second_from_memory": again,
  }
  for name, of, streamed in (("streamed", corpus, True), ("resident", source, False)):
    pairs, memory = training(arguments, of, streamed, arguments.workdir / f"{name}_{time.time_ns()}")
    found |= {f"{name}_pairs_a_second": pairs, f"{name}_peak_bytes": memory}
  return found


def rows(found: dict[str, Any]) -> list[list[str]]:
  limit = found["sequential_bytes_a_second"] / found["bytes_of_a_pair"]

  def row(what: str, pairs: float, memory: float | None) -> list[str]:
    return [what, f"{pairs:,.0f}", f"{memory / 1e9:.2f}" if memory else "-"]

  return [
    row("a plain sequential read, if it were all pairs", limit, None),
    row("reading, from disk", found["pairs_a_second_from_disk"], None),
    row("reading, from the kernel's memory", found["pairs_a_second_from_memory"], None),
    row("training, streamed", found["streamed_pairs_a_second"], found["streamed_peak_bytes"]),
    row(
      "training, resident, of the corpus that was repeated",
      found["resident_pairs_a_second"],
      found["resident_peak_bytes"],
    ),
  ]


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("--corpus", required=True, help="what is repeated")
  parser.add_argument("--config", default="experiments/mnist_loss.py", help="experiment that made it")
  parser.add_argument("--workdir", type=Path, required=True)
  parser.add_argument("--gigabytes", type=float, default=20.0)
  parser.add_argument("--steps", type=int, default=100)
  arguments = parser.parse_args()
  arguments.workdir.mkdir(parents=True, exist_ok=True)
  found = results(arguments)
  (arguments.workdir / "streaming.json").write_text(json.dumps(found, indent=1) + "\n")
  print(measure.table([f"{found['gigabytes']:.1f} GB", "pairs/s", "peak GB"], rows(found)))


if __name__ == "__main__":
  main()
