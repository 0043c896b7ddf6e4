"""The table of tasks: the one place to register."""

from pathlib import Path
import sys

import jax

from g_pt.errors import UserError
from g_pt.tasks import cartpole, cifar10, datasets, digits, family, mnist
from g_pt.tasks.base import Measurement, Metric, Network, Task, Training
from g_pt.tasks.population import RunGroup

TASKS: dict[str, Task] = {task.name: task for task in (digits.TASK, mnist.TASK, cifar10.TASK, cartpole.TASK)}


def get(name: str) -> Task:
  """The task of that name, which may also be that of a family, or of a TFDS image-classification set.

  Raises ValueError, naming the tasks there are, if it is neither.
  """
  if name in TASKS:
    return TASKS[name]
  if family.is_name(name):
    return family.task(name)
  try:
    return mnist.task(name)
  except UserError as error:
    there_is = f"there is: {', '.join(TASKS)}, and image sets of TFDS by their name"
    raise ValueError(f"unknown task {name!r}; {there_is} ({error})") from None


def keep_files(name: str, place: Path, data_dir: str | None) -> None:
  """Keeps the files in `place` as the images of the task of that name, see `datasets.keep_files`, and says so.

  They lie in `place` itself, or in its folder or .npz of the set's name. Those
  of a family lie so, each under its name: mnist/, cifar10.npz. Raises UserError
  where none are there, or they are of another kind.
  """
  if name in (digits.TASK.name, cartpole.TASK.name):
    raise UserError(f"--data_from: the task {name!r} has its data without files")
  try:
    found = {entry.stem: entry for entry in sorted(place.glob("*")) if entry.is_dir() or entry.suffix == ".npz"}
    if not family.is_name(name):
      found = {name: found.get(name, place)}
    if not found:
      raise UserError(f"{place}: no folder or .npz of the name of a data set")
    for one, where in found.items():
      line = datasets.keep_files(one, where, data_dir)
      if not jax.process_index():  # the first process tells
        print(line, file=sys.stderr)
  except UserError as error:
    raise UserError(f"--data_from: {error}") from None


__all__ = ["Measurement", "Metric", "Network", "RunGroup", "TASKS", "Task", "Training", "get", "keep_files"]
