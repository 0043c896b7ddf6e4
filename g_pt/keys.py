"""Random keys: one root a seed, from which every stage and experiment folds its own by name.

Two streams of different names never meet, and a stream does not depend on how
many others there are: a resumed stage finds its keys again.
"""

from __future__ import annotations

import zlib

import jax
from jaxtyping import Array, Int


def stream(seed: int, *path: str | int | Int[Array, ""]) -> Array:
  """The key of a stream, such as `stream(0, "corpus", "run", 5)`."""
  return fold(jax.random.key(seed), *path)


def fold(key: Array, *path: str | int | Int[Array, ""]) -> Array:
  """The key with names (by their CRC-32) and numbers folded in, one after another."""
  for part in path:
    key = jax.random.fold_in(key, zlib.crc32(part.encode()) if isinstance(part, str) else part)
  return key
