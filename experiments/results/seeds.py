"""Runs an experiment with several seeds, everything anew for each, and keeps their summaries.

  command   python -m experiments.results.seeds --experiment=digits_loss [--seeds=0,1,2] [--workdir=DIR]

Each seed has a folder of its own below the workdir; one that is done is not run
again, one that was interrupted goes on.
"""

from __future__ import annotations

from g_pt.host_memory import keep_freed_memory

keep_freed_memory()  # above all imports that bring JAX

import argparse
import importlib
from pathlib import Path
import shlex
import sys

from absl import logging

from experiments.results.collect import collect
from g_pt import config, stages
from g_pt.errors import UserError


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("--experiment", required=True, help="a module of experiments/")
  parser.add_argument("--seeds", default="0,1,2")
  parser.add_argument("--workdir", type=Path, help="default: runs/EXPERIMENT_seeds")
  parser.add_argument("--data_dir", help="where TFDS keeps images")
  arguments = parser.parse_args()
  logging.set_verbosity(logging.ERROR)  # Orbax tells of every file it opens
  folder = arguments.workdir or Path("runs") / f"{arguments.experiment}_seeds"
  command = shlex.join(["python", "-m", "experiments.results.seeds", *sys.argv[1:]])
  directories = []
  try:
    for seed in map(int, arguments.seeds.split(",")):
      values = importlib.import_module(f"experiments.{arguments.experiment}").get_config().to_dict()
      values |= {"seed": seed, "data_dir": arguments.data_dir}
      directories.append(folder / f"seed_{seed}")
      stages.run(config.parse(values), directories[-1], "all", command)
    print(collect(directories, arguments.experiment, command))
  except UserError as error:
    parser.exit(2, f"seeds: {error}\n")


if __name__ == "__main__":
  main()
