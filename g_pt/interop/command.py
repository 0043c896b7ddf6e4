"""What the commands of this package share: one line for every error, and libraries that only they need."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
import importlib
import sys
from types import ModuleType
from typing import Any, NoReturn

from g_pt import tasks
from g_pt.errors import UserError
from g_pt.tasks.base import Task


class Parser(argparse.ArgumentParser):
  """Raises UserError where argparse would print its usage and exit."""

  def __init__(self, **options: Any):
    super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

  def error(self, message: str) -> NoReturn:
    raise UserError(message)


def run(main: Callable[[Sequence[str]], None], name: str) -> NoReturn:
  """Runs a command on the process's arguments; a UserError is one line on stderr and exit status 2."""
  try:
    main(sys.argv[1:])
  except UserError as error:
    print(f"{name}: {error}", file=sys.stderr)
    sys.exit(2)
  sys.exit(0)


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
