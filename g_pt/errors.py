"""Errors that are the user's to mend: one clear line each, naming what and where."""


class UserError(ValueError):
  """Something given (a config, a file, a prompt) cannot be used; `main.py` prints it as one line."""


class ConfigError(UserError):
  """A configuration that cannot be used; the message names the field."""


class CorpusError(UserError):
  """A corpus that cannot be read or does not fit; the message names the place."""
