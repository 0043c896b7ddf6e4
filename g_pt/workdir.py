"""Where things lie in a workdir, and how its JSON files are written.

config.json          the resolved configuration of the last stage that ran
command.txt          the command that asked for it
corpus/              checkpoints of small networks, unless corpus.path names another place; beside them
                     optimizers/, the curves of hand-made optimizers, and classes_N/, corpora of networks with
                     N classes, where a training of many data sets has further ones
train.json           settings of the model, range of its prompts, census of its corpus
units.npz            the model's units
checkpoints/         of G.pt; history/ keeps its averaged weights at a few steps along the way
metrics.jsonl        a line every few steps of training; tensorboard/ holds the same
evaluation/          NAME.json and NAME.npz of each, with the settings it was made under; summary.json of all
report/              index.html, one file that opens offline; NAME.gif and NAME.mp4 of each film in it
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
import tempfile
from typing import Any
import uuid
import zipfile

import numpy as np

from g_pt.errors import UserError

CONFIG = "config.json"
COMMAND = "command.txt"
CORPUS = "corpus"
OPTIMIZERS = "optimizers"  # in the corpus's folder
TRAINED = "train.json"
CHECKPOINTS = "checkpoints"
HISTORY = "history"
METRICS = "metrics.jsonl"
UNITS = "units.npz"
EVALUATION = "evaluation"
SUMMARY = "evaluation/summary.json"
REPORT = "report/index.html"


def write_bytes(path: Path, content: bytes) -> None:
  """Writes a file that is either whole or as it was; makes its folder."""
  path.parent.mkdir(parents=True, exist_ok=True)
  # Of machines that share a folder two processes may have the same number.
  temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
  try:
    temporary.write_bytes(content)
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def size_of(directory: Path) -> int:
  """Bytes of all files in a folder."""
  return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def check_writable(directory: Path) -> None:
  """Raises OSError where nothing can be written."""
  with tempfile.TemporaryFile(dir=directory):
    pass


def json_bytes(value: Any) -> bytes:
  return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def write_json(path: Path, value: Any) -> None:
  write_bytes(path, json_bytes(value))


def read_json(path: Path) -> Any:
  """The file's content, None where there is no file; UserError where it is not JSON."""
  try:
    return json.loads(path.read_text())
  except FileNotFoundError:
    return None
  except (json.JSONDecodeError, UnicodeDecodeError) as error:
    raise UserError(f"{path}: not JSON: {error}") from None


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
  """Writes a compressed npz that is either whole or as it was."""
  buffer = io.BytesIO()
  np.savez_compressed(buffer, allow_pickle=False, **arrays)
  write_bytes(path, buffer.getvalue())


def read_arrays(path: Path, stage: str) -> dict[str, np.ndarray]:
  """The arrays of an npz; UserError, naming the stage that makes it, where it is missing or cannot be read."""
  try:
    with np.load(path) as arrays:
      return dict(arrays)
  except FileNotFoundError:
    raise UserError(f"{path}: missing; run --stage={stage}") from None
  except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
    raise UserError(f"{path}: not readable: {error}") from None


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
