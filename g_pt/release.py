"""A trained G.pt as a folder of its own, which `g_pt.load` opens like a workdir.

model.safetensors   `weights/PATH`, the averaged weights, and `statistics/NAME`, the arrays of its corpus's statistics
config.json         what a workdir's train.json holds
README.md           what it does, as measured
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from g_pt import workdir
from g_pt.errors import UserError, first_line

MODEL, CONFIG, CARD = "model.safetensors", "config.json", "README.md"

Arrays = dict[str, np.ndarray]


class Release(NamedTuple):
  content: dict[str, Any]
  statistics: Arrays
  weights: Arrays  # by their path in the model: params/block_0/qkv/kernel


def holds_one(directory: Path) -> bool:
  return (directory / MODEL).exists()


def read(directory: Path) -> Release:
  """Raises UserError, naming the file, where one is missing or cannot be read."""
  content = workdir.read_json(directory / CONFIG)
  if content is None:
    raise UserError(f"{directory / CONFIG}: missing beside {MODEL}")
  try:
    arrays = load_file(directory / MODEL)
  except (SafetensorError, OSError, ValueError) as error:
    raise UserError(f"{directory / MODEL}: not readable: {first_line(error)}") from None
  return Release(content, _below(arrays, "statistics/"), _below(arrays, "weights/"))


def write(directory: Path, release: Release) -> None:
  """The weights last: they mean that all is there."""
  parts = {"statistics/": release.statistics, "weights/": release.weights}
  arrays = {f"{part}{name}": np.ascontiguousarray(x) for part, named in parts.items() for name, x in named.items()}
  workdir.write_json(directory / CONFIG, release.content)
  workdir.write_bytes(directory / MODEL, save(arrays, metadata={"format": "g_pt"}))


def _below(arrays: Arrays, prefix: str) -> Arrays:
  return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
