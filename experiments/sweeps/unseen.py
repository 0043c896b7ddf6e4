"""Where one G.pt of many data sets fails, and why: by its sources, data sets, weights and training steps.

  command   python -m experiments.sweeps.unseen [--workdir=runs/sweeps/unseen] [--data_dir=DIR] [--index=N]
  time      12 points, about 10 minutes each on one of two CPU cores (EPYC, AVX-512), with another beside

Each point is `experiments/unseen_data.py`, of 800 steps about ten classes alone, with one
field changed. It is judged as the experiment is, without rivals; what was interrupted goes on
where it was. All points but those of fewer sources learn from one corpus, or from its first data sets: with
`--index`, which makes one point alone, the default (0) comes first. Data sets of the corpus
and mixes are of a point's own sources, so that only held-out ones can be compared between
sources; a prompt below what a corpus has is taken for the lowest that it has.
"""

from __future__ import annotations

from g_pt.compilation_cache import keep_compiled_programs
from g_pt.host_memory import keep_freed_memory

# Above all imports that bring JAX.
keep_freed_memory()
keep_compiled_programs()

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import logging
import numpy as np

from experiments import unseen_data
from experiments.sweeps import base
from experiments.sweeps.base import Point, Sweep
from experiments.sweeps.run import run_point
from g_pt import command, config, workdir
from g_pt.report import table
from g_pt.report.base import Table
from g_pt.tasks import family

TABLE = "table.json"
_STEPS = 800
_CORPUS = unseen_data.get_config().corpus
_RUNS = _CORPUS.group_size  # of a data set
NAMES = {  # of axes, for people
  "task": "sources",
  "corpus.used_runs": "data sets of the corpus",
  "model.width": "weights of the model",
  "train.steps": "steps of training",
}
_KINDS = {"training": "sets of the corpus", "test": "unseen mixes"}


def get_sweep() -> Sweep:
  return Sweep(
    name="unseen",
    experiment="unseen_data",
    axes={
      "task": ("mixes_8x8:digits", "mixes_8x8:digits,mnist"),  # the default has CIFAR-10 in grey, too
      "corpus.used_runs": tuple(_RUNS * sets for sets in (8, 32, 128)),
      "model.width": (16, 32, 128),  # the default is 64
      "train.steps": (200, 400, 1600),
    },
    overrides={
      "train.steps": _STEPS,
      "train.classes": None,
      "train.probe_every": 0,
      "train.history": 0,
      "evaluate.experiments": ("data_sets", "corpus", "model"),
      "evaluate.data_sets.compared": False,
      "evaluate.data_sets.training_sets": 4,
      "evaluate.data_sets.test_sets": 4,
      "evaluate.data_sets.held_out": ("fashion_mnist",),  # letters are looked at by the experiment alone
    },
  )


def values_of(sweep: Sweep, point: Point, folder: Path, data_dir: str | None) -> dict[str, Any]:
  """The whole configuration of a point; other sources make a corpus of their own."""
  where = folder / point.name if point.axis == "task" else folder
  return base.values_of(sweep, point, where / workdir.CORPUS, data_dir)


def row(point: Point, directory: Path) -> dict[str, Any]:
  """What a measured point found: by kind of data set or held-out source, means of what was measured by loss."""
  summary = workdir.read_json(directory / workdir.SUMMARY)
  kinds: dict[str, list[dict[str, Any]]] = {}
  for one in summary["data_sets"]["sets"]:
    found = one["metrics"]["test_loss"]
    numbers = {name: found[name] for name in ("alignment", "start", "end")}
    kinds.setdefault(str(_KINDS.get(one["kind"], one["name"])), []).append(
      {**numbers, "one_update": found["one_update"]["test_loss"]}
    )
  means = {kind: {name: float(np.mean([x[name] for x in every])) for name in every[0]} for kind, every in kinds.items()}
  return {
    "name": point.name,
    "axis": point.axis,
    "value": point.value,
    "parameters": summary["model"]["parameters"],
  } | {"sets": means}


def size_on(axis: str, row: dict[str, Any]) -> int:
  """Where a measured point lies on an axis, as a number of what `NAMES` says."""
  value = row["value"] if row["axis"] == axis else None
  if axis == "task":
    return len(family.SOURCES) if value is None else value.count(",") + 1
  if axis == "model.width":
    return row["parameters"]
  if axis == "train.steps":
    return _STEPS if value is None else value
  trained_on = _CORPUS.runs - _CORPUS.validation_runs - _CORPUS.test_runs
  return (trained_on if value is None else value) // _RUNS


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
  """A line a point, and for each kind of data set alignment, one update and where whole runs end."""
  kinds = list(rows[0]["sets"])
  cells = [(one["name"], str(one["parameters"]), *(_cell(one["sets"][kind]) for kind in kinds)) for one in rows]
  return Table("Alignment; one update, where whole runs end", ("", "parameters", *kinds), tuple(cells))


def _cell(found: dict[str, float]) -> str:
  return f"{found['alignment']:.3f}; {found['one_update']:.3f}, {found['end']:.3f}"


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m experiments.sweeps.unseen")
  parser.add_argument("--workdir", type=Path, default=Path("runs/sweeps/unseen"))
  parser.add_argument("--data_dir", help="where TFDS keeps images")
  parser.add_argument("--index", type=int, help="run this point alone")
  given = parser.parse_args(arguments)
  logging.set_verbosity(logging.ERROR)  # Orbax tells of every file it opens
  sweep = get_sweep()
  points = base.points(sweep)
  base.check_index(sweep, given.index)
  parsed = [config.parse(values_of(sweep, point, given.workdir, given.data_dir)) for point in points]
  for number, (point, experiment) in enumerate(zip(points, parsed)):
    if given.index in (None, number):
      print(f"point {number + 1} of {len(points)}: {point.name}", flush=True)
      run_point(experiment, given.workdir / point.name, counted=False)
  done = [point for point in points if (given.workdir / point.name / workdir.SUMMARY).exists()]
  rows = [row(point, given.workdir / point.name) for point in done]
  workdir.write_json(given.workdir / TABLE, {"rows": rows})
  print(table.text("One G.pt on many data sets", (table_of(rows),)))


if __name__ == "__main__":
  command.run(main, "unseen")
