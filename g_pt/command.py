"""What the commands of this package share: one line for every error."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
import sys
from typing import Any, NoReturn

from g_pt.errors import UserError


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


def refuse_filled(out: Path) -> None:
  """UserError where `--out` is no folder that something new can be written to."""
  if out.exists() and (not out.is_dir() or any(out.iterdir())):
    raise UserError(f"--out: {out} is a file or holds some already; choose another folder")
