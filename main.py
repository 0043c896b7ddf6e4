"""Runs an experiment: python main.py --config=experiments/NAME.py --workdir=DIR [--stage=...] [--config.a.b=value].

This file turns flags into a configuration and errors into one line; all else is in g_pt.
"""

from g_pt.compilation_cache import keep_compiled_programs
from g_pt.host_memory import keep_freed_memory

# Above all imports that bring JAX.
keep_freed_memory()
keep_compiled_programs()

from pathlib import Path
import shlex
import sys
import traceback

from absl import app, flags, logging
from ml_collections import config_flags

from g_pt import config, errors, processes, stages, tasks
from g_pt.train.log import DivergenceError

_CONFIG = config_flags.DEFINE_config_file("config", None, "Experiment file, FILE.py or FILE.py:VARIANT.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for everything that the experiment writes.", required=True)
_STAGE = flags.DEFINE_string("stage", "all", "corpus, train, evaluate, report or all.")
_DATA_FROM = flags.DEFINE_string("data_from", None, "Folder or .npz of images to use, and keep, for the task's data.")
_MULTIHOST = flags.DEFINE_bool("multihost", False, "Join the other processes of a SLURM, Kubernetes or TPU job.")
_COORDINATOR = flags.DEFINE_string("coordinator", None, "Elsewhere: HOST:PORT of the first process,")
_PROCESSES = flags.DEFINE_integer("processes", None, "how many there are,")
_PROCESS = flags.DEFINE_integer("process", None, "and the number of this one, from 0.")
_JOIN_TIMEOUT = flags.DEFINE_integer("join_timeout", 300, "Seconds to wait for the other processes.")
flags.mark_flag_as_required("config")


def main(_) -> None:
  logging.set_verbosity(logging.ERROR)  # Orbax tells of every file it opens
  try:
    if not hasattr(_CONFIG.value, "to_dict"):
      raise TypeError(f"--config: get_config() gives {_CONFIG.value!r}; a ConfigDict is needed")
    values = _CONFIG.value.to_dict()
  except Exception as error:  # a file that is missing or fails is told of only here
    raise errors.flag_error(error, sys.argv) from None
  experiment = config.parse(values)
  given = _COORDINATOR.value, _PROCESSES.value, _PROCESS.value
  if _MULTIHOST.value or any(value is not None for value in given):
    processes.join(processes.Job(*given, _JOIN_TIMEOUT.value), Path(_WORKDIR.value))
  if _DATA_FROM.value is not None:
    tasks.keep_files(experiment.task, Path(_DATA_FROM.value), experiment.data_dir)
  with processes.loss_of_others_told(lambda: "what is done stays"):
    stages.run(experiment, Path(_WORKDIR.value), _STAGE.value, shlex.join(["python", *sys.argv]))


def _parse_flags(arguments: list[str]) -> list[str]:
  try:
    return flags.FLAGS(arguments)
  except Exception as error:  # whatever an experiment file may raise
    raise errors.flag_error(error, arguments) from None


if __name__ == "__main__":
  try:
    app.run(main, flags_parser=_parse_flags)
  except errors.UserError as error:
    print(f"main.py: {error}", file=sys.stderr)
    processes.leave(2)
  except DivergenceError as error:
    print(f"main.py: {error}", file=sys.stderr)
    processes.leave(1)
  except processes.Preempted as stopped:
    print(f"main.py: {stopped}", file=sys.stderr)
  except Exception:  # a fault of the program
    traceback.print_exc()
    processes.leave(1)
