"""Runs an experiment with several seeds, everything anew for each, and keeps their summaries.

  command   python -m experiments.results.seeds --experiment=digits_loss [--seeds=0,1,2] [--workdir=DIR]

Each seed has a folder of its own below the workdir; one that is done is not run
again, one that was interrupted goes on.
"""

from __future__ import annotations

from g_pt.host_memory import keep_freed_memory

keep_freed_memory()  # above all imports that bring JAX

from collections.abc import Sequence
import importlib
from pathlib import Path
import shlex

from absl import logging

from experiments.results.collect import collect
from g_pt import command, config, stages


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m experiments.results.seeds")
  parser.add_argument("--experiment", required=True, help="a module of experiments/")
  parser.add_argument("--seeds", default="0,1,2")
  parser.add_argument("--workdir", type=Path, help="default: runs/EXPERIMENT_seeds")
  parser.add_argument("--data_dir", help="where TFDS keeps images")
  given = parser.parse_args(arguments)
  logging.set_verbosity(logging.ERROR)  # Orbax tells of every file it opens
  folder = given.workdir or Path("runs") / f"{given.experiment}_seeds"
  made_by = shlex.join(["python", "-m", "experiments.results.seeds", *arguments])
  directories = []
  for seed in map(int, given.seeds.split(",")):
    values = importlib.import_module(f"experiments.{given.experiment}").get_config().to_dict()
    values |= {"seed": seed, "data_dir": given.data_dir}
    directories.append(folder / f"seed_{seed}")
    stages.run(config.parse(values), directories[-1], "all", made_by)
  print(collect(directories, given.experiment, made_by))


if __name__ == "__main__":
  command.run(main, "seeds")
