"""Random keys: one root, and names and numbers folded into it, so that no two streams meet."""

from __future__ import annotations

import zlib

import jax
from jaxtyping import Array


def fold(key: Array, *path: str | int) -> Array:
  """`key` with each part of the path folded in; names by the crc32 of their bytes."""
  for part in path:
    key = jax.random.fold_in(key, zlib.crc32(part.encode()) if isinstance(part, str) else part)
  return key


def stream(seed: int, *path: str | int) -> Array:
  """The key of that path below the seed's root."""
  return fold(jax.random.key(seed), *path)
