"""What the commands of interop share beside those of the package: libraries and names that only they need."""

from __future__ import annotations

import importlib
from types import ModuleType

from g_pt import tasks
from g_pt.command import Parser, run
from g_pt.errors import UserError
from g_pt.tasks.base import Task

__all__ = ["Parser", "library", "run", "task_named"]


def library(name: str) -> ModuleType:
  """A module of the `torch` extra; UserError, naming the extra, where it is not installed."""
  try:
    return importlib.import_module(name)
  except ImportError:
    needed = f"{name.split('.')[0]} is needed and not installed"
    raise UserError(f"{needed}: pip install g-pt-jax[torch], in a checkout pip install -e .[torch]") from None


def task_named(name: str) -> Task:
  """The task of a command's `--task`; UserError, naming those there are, if there is none."""
  try:
    return tasks.get(name)
  except ValueError as error:
    raise UserError(f"--task: {error}") from None
