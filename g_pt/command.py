"""What the commands of this package share: one line for every error."""

from __future__ import annotations

import argparse
import collections
from collections.abc import Callable, Iterator, Sequence
import contextlib
from pathlib import Path
import re
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
  new = [folder for folder in final.parents if not folder.exists()]
  try:
    final.parent.mkdir(parents=True, exist_ok=True)
    # Beside it: what is on the same disk is renamed at once. The names of both are the same.
    with tempfile.TemporaryDirectory(prefix=".", dir=final.parent, ignore_cleanup_errors=True) as beside:
      folder = Path(beside) / final.name
      folder.mkdir()
      with _told_of(folder, out):
        yield folder
      folder.rename(final)
  except OSError as error:
    raise UserError(f"--out: {out} cannot be written: {first_line(error)}") from None
  finally:
    if not final.exists():
      for folder in new:
        with contextlib.suppress(OSError):
          folder.rmdir()


@contextlib.contextmanager
def _told_of(folder: Path, out: Path) -> Iterator[None]:
  """Errors that name a folder name the one that it is to be; those about another file are not about `--out`."""
  try:
    yield
  except UserError as error:
    raise type(error)(str(error).replace(str(folder), str(out))) from None
  except OSError as error:
    if error.filename is None or Path(error.filename).is_relative_to(folder):
      raise
    raise UserError(first_line(error)) from None


# Flags that tell nothing of what a corpus or a model is: where things are, how it was run, what was measured.
_PLACES = ("workdir", "data_dir", "data_from", "config.data_dir", "config.corpus.path")
_OF_A_JOB = ("stage", "multihost", "nomultihost", "coordinator", "processes", "process", "join_timeout")
_OF_EVALUATIONS = re.compile(r"(no)?config\.(evaluate|optimizers)\..*")


def made_by(text: str) -> list[str]:
  """A command without such flags."""
  kept, rest = [], collections.deque(shlex.split(text))
  while rest:
    part = rest.popleft()
    flag, equals, _ = part.partition("=")
    name = flag.lstrip("-") if flag.startswith("-") else ""
    if name not in (*_PLACES, *_OF_A_JOB) and not _OF_EVALUATIONS.fullmatch(name):
      kept.append(part)
    elif not equals and rest and not rest[0].startswith("-"):
      rest.popleft()  # its value
  return kept


def flags_of(text: str) -> list[str] | None:
  """Those of a command that ran `main.py` which tell of what it made; None where it ran something else."""
  parts = made_by(text)
  start = next((place for place, part in enumerate(parts) if Path(part).name == "main.py"), None)
  if start is None:
    return None
  kept, rest = [], iter(parts[start + 1 :])
  for part in rest:
    flag, equals, value = part.partition("=")
    if flag.lstrip("-") == "config":
      part = f"--config={_in_a_checkout(value if equals else next(rest, ''))}"
    kept.append(part)
  return kept


def _in_a_checkout(file: str) -> str:
  """An experiment as it is named there; one of elsewhere by its name alone."""
  folder, found, name = file.rpartition("experiments/")
  return f"{found}{name}" if found and (not folder or folder.endswith("/")) else Path(file).name
