"""Trains and measures every point of a sweep, one after another or, in a job array, one a process.

  command   python -m experiments.sweeps.run --sweep=digits [--workdir=runs/sweeps/digits] [--corpus=DIR]
            python -m experiments.sweeps.report --workdir=runs/sweeps/digits

All points learn from one corpus, made by the first of them. What was interrupted
goes on where it was, and a point that was measured is left as it is. In a SLURM
array `--index` is the task's own; its jobs would all make the corpus at once, so that
it comes first:

  python -m experiments.sweeps.run --sweep=digits --corpus_alone
  sbatch --array=0-14 --wrap="python -m experiments.sweeps.run --sweep=digits"
"""

from __future__ import annotations

from g_pt.compilation_cache import keep_compiled_programs
from g_pt.host_memory import keep_freed_memory

# Above all imports that bring JAX.
keep_freed_memory()
keep_compiled_programs()

from collections.abc import Sequence
import dataclasses
import os
from pathlib import Path
import sys

from absl import logging

from experiments.sweeps import base
from experiments.sweeps.base import Point, Sweep
from experiments.sweeps.cost import training_cost
from g_pt import command, config, provenance, stages, workdir
from g_pt.corpus.manifest import read_manifest
from g_pt.errors import UserError
from g_pt.train.log import DivergenceError

SWEEP, COST = "sweep.json", "cost.json"  # in the sweep's folder, and in that of each point


@dataclasses.dataclass(frozen=True)
class Place:
  """Where a sweep lies, and what it reads."""

  folder: Path
  corpus: Path
  data_dir: str | None = None


def run_sweep(sweep: Sweep, place: Place, index: int | None = None) -> list[str]:
  """Runs the points that are not measured yet, or the one at `index`; names those whose training diverged.

  Raises UserError where there is no such point, or where one was made under
  other settings; with `index`, where the corpus is not whole.
  """
  every = base.points(sweep)
  base.check_index(sweep, index)
  if index is not None and not read_manifest(place.corpus).complete:
    raise UserError(f"{place.corpus}: the corpus is unfinished; make it first, with --corpus_alone")
  _check_writable(place.folder)
  parsed = [config.parse(base.values_of(sweep, point, place.corpus, place.data_dir)) for point in every]
  workdir.write_json(place.folder / SWEEP, dataclasses.asdict(sweep))
  diverged = []
  for number, (point, experiment) in enumerate(zip(every, parsed)):
    if index is not None and number != index:
      continue
    print(f"job {number + 1} of {len(every)} (index {number}): {_described(point)}", flush=True)
    try:
      run_point(experiment, place.folder / point.name)
    except DivergenceError as error:  # the others may well not
      print(f"{place.folder / point.name}: {error}", file=sys.stderr)
      diverged.append(point.name)
  return diverged


def run_point(experiment: config.Experiment, directory: Path, counted: bool = True) -> None:
  """One training, its evaluations and, if it is to be counted, its cost; nothing where these are there."""
  if (directory / workdir.SUMMARY).exists():
    provenance.refuse_other_training(directory, experiment.values)
    print(f"{directory}: measured already")
    return
  for stage in ("corpus", "train"):
    stages.run(experiment, directory, stage)
  if counted:
    workdir.write_json(directory / COST, training_cost(experiment, directory))
  stages.run(experiment, directory, "evaluate")


def listed(sweep: Sweep, folder: Path) -> str:
  """The jobs by index, and which are done."""
  lines = [f"{sweep.name}: jobs in {folder}"]
  for number, point in enumerate(base.points(sweep)):
    done = "  measured" if (folder / point.name / workdir.SUMMARY).exists() else ""
    lines.append(f"  {number:2d}  {_described(point)}{done}")
  return "\n".join(lines)


def _check_writable(folder: Path) -> None:
  try:
    folder.mkdir(parents=True, exist_ok=True)
    workdir.check_writable(folder)
  except OSError as error:
    raise UserError(f"--workdir: cannot write to {folder}: {error.strerror}") from None


def _described(point: Point) -> str:
  return "the experiment as it is" if point.axis is None else f"{point.axis}={point.value}"


def _index(given: int | None) -> int | None:
  """The job asked for, or that of a SLURM array; None: all of them."""
  task = os.environ.get("SLURM_ARRAY_TASK_ID")
  if given is not None or task is None:
    return given
  try:
    return int(task)
  except ValueError:
    raise UserError(f"SLURM_ARRAY_TASK_ID: {task!r} is not a number") from None


def _parser() -> command.Parser:
  parser = command.Parser(description=__doc__, prog="python -m experiments.sweeps.run")
  parser.add_argument("--sweep", required=True, help=", ".join(base.NAMES))
  parser.add_argument("--index", type=int, help="run this job alone; default: SLURM_ARRAY_TASK_ID, or all jobs")
  parser.add_argument("--workdir", type=Path, help="default: runs/sweeps/SWEEP")
  parser.add_argument("--corpus", type=Path, help="where the shared corpus is or will be; default: WORKDIR/corpus")
  parser.add_argument("--corpus_alone", action="store_true", help="make the shared corpus and no model")
  parser.add_argument("--data_dir", help="where TFDS keeps images")
  return parser


def main(arguments: Sequence[str]) -> None:
  given = _parser().parse_args(arguments)
  logging.set_verbosity(logging.ERROR)  # Orbax tells of every file it opens
  sweep = base.get(given.sweep)
  folder = given.workdir or Path("runs") / "sweeps" / sweep.name
  place = Place(folder, given.corpus or folder / workdir.CORPUS, given.data_dir)
  if given.corpus_alone:
    first = base.values_of(sweep, base.points(sweep)[0], place.corpus, place.data_dir)
    stages.run(config.parse(first), folder / base.DEFAULT, "corpus")
    return
  index = _index(given.index)
  print(listed(sweep, folder), flush=True)
  diverged = run_sweep(sweep, place, index)
  if diverged:
    print(f"run: diverged: {', '.join(diverged)}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
  command.run(main, "run")
