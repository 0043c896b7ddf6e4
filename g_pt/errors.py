"""Errors that are the user's to mend: one clear line each, naming what and where."""

from __future__ import annotations

from collections.abc import Sequence


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
  the last line of its traceback counts.
  """
  text = str(error).replace("\\'", "'").replace("\\n", "\n").strip("'\" \n")
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
