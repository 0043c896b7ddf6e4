"""Where things lie in a workdir, and how its JSON files are written.

config.json          the resolved configuration of the last command
command.txt          that command
corpus/              checkpoints of small networks, unless corpus.path names another place
train.json           settings and corpus statistics of the model
checkpoints/         of G.pt
metrics.jsonl        a line every few steps of training; tensorboard/ holds the same
evaluation/          summary.json, arrays.npz, settings.json
report/index.html    one file that opens offline
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from g_pt.errors import UserError

CONFIG = "config.json"
COMMAND = "command.txt"
CORPUS = "corpus"
TRAINED = "train.json"
CHECKPOINTS = "checkpoints"
METRICS = "metrics.jsonl"
SUMMARY = "evaluation/summary.json"
ARRAYS = "evaluation/arrays.npz"
EVALUATED = "evaluation/settings.json"
REPORT = "report/index.html"


def write_bytes(path: Path, content: bytes) -> None:
  """Writes a file that is either whole or as it was; makes its folder."""
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f".{path.name}.{os.getpid()}")
  temporary.write_bytes(content)
  os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
  write_bytes(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


def read_json(path: Path) -> Any:
  """The file's content, None where there is no file; UserError where it is not JSON."""
  try:
    return json.loads(path.read_text())
  except FileNotFoundError:
    return None
  except (json.JSONDecodeError, UnicodeDecodeError) as error:
    raise UserError(f"{path}: not JSON: {error}") from None


def differences(wanted: Any, found: Any, prefix: str = "") -> list[str]:
  """The fields in which two nested dictionaries differ, as `name is X there, Y here`."""
  if isinstance(wanted, dict) and isinstance(found, dict):
    lines = []
    for name in sorted({*wanted, *found}):
      lines += differences(wanted.get(name), found.get(name), f"{prefix}.{name}" if prefix else name)
    return lines
  # JSON knows no tuples.
  wanted, found = (list(value) if isinstance(value, tuple) else value for value in (wanted, found))
  return [] if wanted == found else [f"{prefix} is {found!r} there, {wanted!r} here"]
