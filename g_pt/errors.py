"""Errors that are the user's to mend: one clear line each, naming what and where."""

from __future__ import annotations

from collections.abc import Sequence
import re
import traceback


class UserError(ValueError):
  """Something given (a config, a file, a prompt) cannot be used; `main.py` prints it as one line."""


class ConfigError(UserError):
  """A configuration that cannot be used; the message names the field."""


class CorpusError(UserError):
  """A corpus that cannot be read or does not fit; the message names the place."""


def flag_error(error: Exception, arguments: Sequence[str]) -> ConfigError:
  """What went wrong in parsing flags, as one line.

  Of an unknown field ml_collections gives the name without its path, quoted
  twice: the argument that gives it is named. Of an experiment file that failed,
  the place in it counts.
  """
  fault = _fault_in_experiment(error, arguments)
  if fault:
    return ConfigError(fault)
  text = _plain(str(error))
  lines = text.splitlines() or [type(error).__name__]
  if "Failed loading config file" in text:
    return ConfigError(f"--config: {lines[-1].strip()}")
  if "Traceback" in text:
    return ConfigError(f"--config: the experiment file failed: {lines[-1]}")
  fields = {argument.split("=")[0] for argument in arguments if argument.startswith("--config.")}
  unknown = [field for field in sorted(fields) if text.startswith(f"{field.rsplit('.', 1)[-1]}'")]
  if isinstance(error, (KeyError, AttributeError)) and unknown:
    return ConfigError(f"{unknown[0]}: unknown field. {' '.join(' '.join(lines[1:]).split())}".rstrip())
  return ConfigError(" ".join(text.split()))


def _plain(text: str) -> str:
  """Without the quotes that a KeyError, or one in another, puts around its message."""
  text = text.replace("\\'", "'").replace("\\n", "\n").strip()
  while text[:1] in ("'", '"'):  # of nested ones the outer may end earlier
    text = text[1:].removesuffix(text[0]).strip()
  return text


def _fault_in_experiment(error: BaseException | None, arguments: Sequence[str]) -> str | None:
  """Where the experiment file that `--config` names went wrong, and how; None where it did not."""
  file = next((a.removeprefix("--config=") for a in arguments if a.startswith("--config=")), "")
  file = file if file.endswith(".py") else file.rpartition(":")[0]  # without the variant
  while file and error is not None:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(file)]
    if isinstance(error, SyntaxError) and str(error.filename).endswith(file):
      lines = [error.lineno]
    if lines:
      text = error.msg if isinstance(error, SyntaxError) else _plain(str(error))
      return f"--config: {file}, line {lines[-1]}: {type(error).__name__}: {' '.join(text.split())}"
    error = error.__cause__ or error.__context__
  return None


def first_line(error: BaseException) -> str:
  """What a library says, without its trace and the [name='value'] that TensorStore puts behind."""
  return re.sub(r" \[[\w-]+='.*", "", (str(error).strip() or type(error).__name__).splitlines()[0])
