"""How the cost of each stage grows with its size, and with virtual devices of one machine.

  command   python -m experiments.benchmarks.scaling --workdir=runs/scaling
  time      ten minutes on two CPU cores

Each row is `main.py` in a process of its own, on digits. What a stage costs beyond
its start is linear where `ms of another` run (of a corpus) or network (of an
evaluation) is the same in each row: what the last doubling added to the time, by what
it added to the size. Steps of a training take as long whatever the corpus is. More
devices of one machine share the same cores, so that time should stay as it is; memory
should not grow with the corpus where pairs are streamed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import json
from pathlib import Path
import shutil
from typing import NamedTuple

from experiments.benchmarks import measure

CONFIG = "experiments/digits_loss.py"
SIZES = (1024, 2048, 4096, 8192)  # runs of a corpus
NETWORKS = (64, 128, 256, 512)  # of an evaluation
DEVICES = (1, 2, 4, 8)
TRAINING = {"steps": 120, "log_every": 20, "checkpoint_every": 120, "probe_every": 0, "history": 0, "microbatches": 1}
HEAD = ["", "size", "s", "ms of another", "peak GB"]
HELD_OUT = {"validation_runs": 64, "test_runs": 512}


class Row(NamedTuple):
  what: str
  size: int
  seconds: float
  memory: float  # bytes, peak


class Bench(NamedTuple):
  """A folder, and what is run in it; what was made there before is used again, all else anew."""

  workdir: Path

  def changes(self, runs: int, devices: int = 1, **train: object) -> dict[str, object]:
    corpus = {"runs": runs, "path": self.corpus(runs)} | HELD_OUT
    parts = {"corpus": corpus, "train": TRAINING | train, "mesh": {"data": devices}}
    return {f"{part}.{field}": value for part, fields in parts.items() for field, value in fields.items()}

  def corpus(self, runs: int) -> Path:
    return self.workdir / f"corpus_{runs}"

  def generated(self, runs: int, devices: int = 1) -> Row:
    shutil.rmtree(self.corpus(runs), ignore_errors=True)
    peak = measure.stage(CONFIG, "corpus", self.workdir / "corpus", self.changes(runs), devices)
    seconds = json.loads((self.corpus(runs) / "manifest.json").read_text())["seconds"]
    return Row(f"corpus, {devices} devices" if devices > 1 else "corpus", runs, seconds, peak)

  def trained(self, runs: int, devices: int = 1, stream: bool = False) -> Row:
    workdir = self.workdir / f"train_{runs}_{devices}_{stream}"
    shutil.rmtree(workdir, ignore_errors=True)
    peak = measure.stage(CONFIG, "train", workdir, self.changes(runs, devices, stream=stream), devices)
    how = f"training, {devices} devices" if devices > 1 else "training, streamed" if stream else "training, resident"
    return Row(how, runs, TRAINING["steps"] * measure.step_seconds(workdir), peak)

  def evaluated(self, networks: int) -> Row:
    workdir = self.workdir / f"train_{SIZES[-1]}_1_False"
    shutil.rmtree(workdir / "evaluation", ignore_errors=True)
    more = {"evaluate.experiments": "('alignment',)", "evaluate.alignment.networks": networks}
    peak = measure.stage(CONFIG, "evaluate", workdir, self.changes(SIZES[-1], stream=False) | more)
    seconds = json.loads((workdir / "evaluation/alignment.json").read_text())["seconds"]
    return Row("alignment, networks", networks, seconds, peak)

  def rows(self) -> Iterator[list[Row]]:
    """Rows that belong together, one after another."""
    yield [self.generated(runs) for runs in SIZES]
    yield [self.generated(SIZES[-1], devices) for devices in DEVICES[1:]]
    for stream in (False, True):
      yield [self.trained(runs, stream=stream) for runs in SIZES]
    yield [self.trained(SIZES[-1], devices) for devices in DEVICES[1:]]
    yield [self.evaluated(networks) for networks in NETWORKS]


def cells(row: Row, before: Row | None) -> list[str]:
  """`before`: the row in front of it, of a smaller size."""
  more = f"{1e3 * (row.seconds - before.seconds) / (row.size - before.size):.2f}" if before else "-"
  return [row.what, f"{row.size:,}", f"{row.seconds:.1f}", more, f"{row.memory / 1e9:.2f}"]


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("--workdir", type=Path, required=True)
  bench = Bench(parser.parse_args().workdir)
  bench.workdir.mkdir(parents=True, exist_ok=True)
  found: list[list[str]] = []
  for rows in bench.rows():
    grow = rows[0].size < rows[-1].size and not rows[0].what.startswith("training")
    found += map(cells, rows, [None, *rows[:-1]] if grow else [None] * len(rows))
    print(measure.table(HEAD, found), flush=True)


if __name__ == "__main__":
  main()
