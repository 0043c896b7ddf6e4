"""What the commands of this package share: one line for every error."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
import contextlib
from pathlib import Path
import shlex
import sys
import tempfile
from typing import Any, NoReturn

from g_pt.errors import UserError, first_line


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


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
  """A folder to write to, which is at `--out` once all is written; where that fails, nothing is there.

  Raises UserError where something is there already, or nothing can be written.
  """
  if out.exists():
    raise UserError(f"--out: {out} is there already; name a new folder")
  final = out.absolute()
  try:
    final.parent.mkdir(parents=True, exist_ok=True)
    # Beside it: what is on the same disk is renamed at once. The names of both are the same.
    with tempfile.TemporaryDirectory(prefix=".", dir=final.parent, ignore_cleanup_errors=True) as beside:
      folder = Path(beside) / final.name
      folder.mkdir()
      yield folder
      folder.rename(final)
  except OSError as error:
    raise UserError(f"--out: {out} cannot be written: {first_line(error)}") from None


# Flags of `main.py` that tell nothing of what a corpus or a model is.
_OF_A_MACHINE = ("stage", "workdir", "data_from", "config.data_dir", "config.corpus.path")
_OF_A_JOB = ("coordinator", "processes", "process", "join_timeout")
_SWITCHES = ("multihost", "nomultihost")
_OF_EVALUATIONS = ("config.evaluate.", "config.optimizers.")  # what they begin with


def flags_of(text: str) -> list[str] | None:
  """Those of a command that ran `main.py` which tell of what it made; None where it ran something else."""
  parts = shlex.split(text)
  start = next((place for place, part in enumerate(parts) if Path(part).name == "main.py"), None)
  if start is None:
    return None
  kept, rest = [], iter(parts[start + 1 :])
  for part in rest:
    flag, equals, value = part.partition("=")
    name = flag.lstrip("-")
    if name == "config":
      kept.append(f"--config={_in_a_checkout(value if equals else next(rest, ''))}")
    elif name in (*_OF_A_MACHINE, *_OF_A_JOB) or name.startswith(_OF_EVALUATIONS):
      if not equals:
        next(rest, None)
    elif name not in _SWITCHES:
      kept.append(part)
  return kept


def _in_a_checkout(file: str) -> str:
  """An experiment as it is named there; one of elsewhere by its name alone."""
  parts = Path(file).parts
  return "/".join(parts[parts.index("experiments") :]) if "experiments" in parts else Path(file).name
