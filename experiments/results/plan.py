"""What the published corpora and trainings would take on TPUs: a table of launch/README.md, by formulas.

  command   python -m experiments.results.plan [--topology=v5e:4x4] [--share=0.4] [--price=1.2]

A program's least time on a chip is what its compiler and published figures give
(`tpu.json`, see experiments/benchmarks/tpu_compile.py); `share` of that speed is
taken to be reached, which nothing here has measured. A step of an episode takes some
microseconds of any chip, so that Cartpole's corpus takes longer than said. With t for a
program's least time,

  storage      4 bytes * runs * checkpoints * parameters
  corpus       chip hours = runs / runs of a group * t(corpus) / share / 3600
  training     chip hours = chips * steps * t(train) / share / 3600
  evaluation   chip hours = chips * samples / 256 * t(sample) / share / 3600
  hours        chip hours / chips
  cost         chip hours * price
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
import importlib
from typing import Any, NamedTuple

from experiments.results import tpu
from g_pt import config, tasks, workdir
from g_pt.errors import UserError

EXPERIMENTS = {"mnist": "mnist_loss", "cifar10": "cifar10_loss", "cartpole": "cartpole_return"}
SAMPLED = 256  # networks that the program `sample` updates together
HEAD = ("what", "checkpoints", "storage", "corpus", "training", "evaluation", "chip hours", "cost")


class Assumed(NamedTuple):
  topology: str
  share: float  # of the least time's speed
  price: float  # US dollars a chip hour


DEFAULT = Assumed("v5e:4x4", 0.4, 1.2)


class Plan(NamedTuple):
  checkpoints: int
  storage: float  # bytes
  hours: tuple[float, float, float]  # of corpus, training, evaluation
  chip_hours: float

  def __add__(self, other: Plan) -> Plan:  # type: ignore[override]
    hours = tuple(a + b for a, b in zip(self.hours, other.hours))
    sums = (self.checkpoints + other.checkpoints, self.storage + other.storage)
    return Plan(*sums, hours, self.chip_hours + other.chip_hours)  # type: ignore[arg-type]


def plan_of(task: str, assumed: Assumed) -> Plan:
  """Of the published experiment with a task's networks."""
  experiment = config.parse(importlib.import_module(f"experiments.{EXPERIMENTS[task]}").get_config("paper").to_dict())
  rows = {program: _row(task, program, assumed.topology) for program in ("corpus", "train", "sample")}
  least = {program: max(row["seconds"].values()) / assumed.share / 3600 for program, row in rows.items()}
  chips, checkpoints = rows["train"]["chips"], experiment.corpus.runs * experiment.corpus.checkpoints
  runs_of_group = int(rows["corpus"]["mesh"].split()[0])
  corpus = experiment.corpus.runs / runs_of_group * least["corpus"] / chips
  evaluation = samples(experiment) / SAMPLED * least["sample"]
  hours = corpus, experiment.train.steps * least["train"], evaluation
  return Plan(checkpoints, 4.0 * checkpoints * tasks.get(experiment.task).spec.size, hours, chips * sum(hours))


def samples(experiment: config.Experiment) -> int:
  """Of alignment (on training and on test runs) and of one update: nearly all that evaluation samples."""
  alignment: Any = experiment.evaluate["alignment"]
  return 2 * alignment.networks * alignment.prompts + experiment.optimizers.networks


def _row(task: str, program: str, topology: str) -> dict[str, Any]:
  wanted = (topology, task, program)
  for row in (workdir.read_json(tpu.KEPT) or {"results": []})["results"]:
    if tuple(row[name] for name in tpu.NAMES) == wanted:
      return row
  raise UserError(f"{tpu.KEPT}: nothing of {', '.join(wanted)}; run experiments.benchmarks.tpu_compile")


def _time(hours: float) -> str:
  parts = ((f"{hours:.1f} h", 1), (f"{60 * hours:.0f} min", 1 / 60), (f"{3600 * hours:.0f} s", 0))
  return next(text for text, least in parts if hours >= least)


def cells(name: str, plan: Plan, assumed: Assumed) -> list[str]:
  hours = map(_time, plan.hours)
  size = f"{plan.checkpoints / 1e6:.1f}M", f"{plan.storage / 1e9:.0f} GB"
  return [name, *size, *hours, f"{plan.chip_hours:,.0f}", f"${plan.chip_hours * assumed.price:,.0f}"]


def lines(assumed: Assumed) -> Iterator[Sequence[str]]:
  plans = {task: plan_of(task, assumed) for task in EXPERIMENTS}
  first, *others = plans.values()
  yield from (HEAD, ["---"] * len(HEAD))
  yield from (cells(task, plan, assumed) for task, plan in plans.items())
  yield cells("all", sum(others, first), assumed)


def table(assumed: Assumed) -> str:
  return "\n".join(f"| {' | '.join(line)} |" for line in lines(assumed))


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("--topology", default=DEFAULT.topology)
  parser.add_argument("--share", type=float, default=DEFAULT.share, help="of the least time's speed that is reached")
  parser.add_argument("--price", type=float, default=DEFAULT.price, help="US dollars a chip hour")
  arguments = parser.parse_args()
  print(table(Assumed(arguments.topology, arguments.share, arguments.price)))


if __name__ == "__main__":
  main()
