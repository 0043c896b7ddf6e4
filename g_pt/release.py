"""A trained G.pt as a folder of its own, which `g_pt.load` opens like a workdir.

model.safetensors   `weights/PATH`, the averaged weights, and `statistics/NAME`, the arrays of its corpus's statistics;
                    where a weight is a byte, a column of its matrix is in units of `units/PATH`
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
FILES = (MODEL, CONFIG, CARD)
BITS = (32, 16, 8)  # that a weight may be kept in

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
  if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
    raise UserError(f"{directory / CONFIG}: not that of a G.pt")
  try:
    arrays = load_file(directory / MODEL)
  except (SafetensorError, OSError, ValueError) as error:
    raise UserError(f"{directory / MODEL}: not readable: {first_line(error)}") from None
  weights, units = _below(arrays, "weights/"), _below(arrays, "units/")
  bytes_alone = [name for name, x in weights.items() if x.dtype == np.int8 and name not in units]
  if bytes_alone:
    raise UserError(f"{directory / MODEL}: units/{bytes_alone[0]} is missing, and its weights are bytes")
  weights |= {name: weights[name] * unit for name, unit in units.items() if name in weights}
  return Release(content, _below(arrays, "statistics/"), weights)


def write(directory: Path, release: Release, bits: int = 32) -> None:
  """Weights in one of BITS; they come last and mean that all is there."""
  weights, units = _rounded(release.weights, bits)
  parts = {"statistics/": release.statistics, "weights/": weights, "units/": units}
  arrays = {f"{part}{name}": np.ascontiguousarray(x) for part, named in parts.items() for name, x in named.items()}
  workdir.write_json(directory / CONFIG, release.content)
  workdir.write_bytes(directory / MODEL, save(arrays, metadata={"format": "g_pt"}))


def _rounded(weights: Arrays, bits: int) -> tuple[Arrays, Arrays]:
  """Weights in so many bits and, where these are 8, the units of the columns of matrices; vectors keep 32."""
  if bits != 8:
    return {name: x.astype(f"float{bits}") for name, x in weights.items()}, {}
  units = {
    name: np.maximum(np.abs(x).max(axis=-2, keepdims=True) / 127, np.float32(1e-12))
    for name, x in weights.items()
    if x.ndim > 1
  }
  return {n: np.rint(x / units[n]).astype(np.int8) if n in units else x for n, x in weights.items()}, units


def _below(arrays: Arrays, prefix: str) -> Arrays:
  return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
