"""Many networks through one program of a fixed size: memory does not grow with their number, nor compilation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

_ON_ACCELERATORS = 1024


def updated_at_once() -> int:
  """Networks that a model updates together: what a CPU's caches hold, or keeps an accelerator busy."""
  return 128 if jax.default_backend() == "cpu" else _ON_ACCELERATORS


def measured_at_once() -> int:
  """Networks that are measured together: each has its own activations for every example."""
  return 32 if jax.default_backend() == "cpu" else _ON_ACCELERATORS


def in_chunks(function: Callable[..., Any], at_once: int, *rows: Any, whole: bool = False) -> Any:
  """`function` of arrays that lead with the network, some `at_once` of them together; its arrays lead with it, too.

  Few programs serve every number of networks: they are filled up to a multiple
  of `at_once`, which is a power of two, and fewer than that to the next power of
  two, unless they are to be `whole` chunks.
  """
  count = len(rows[0])
  size = at_once if whole or count > at_once else 1 << (count - 1).bit_length()
  index = (jnp.arange(-(-count // size) * size) % count).reshape(-1, size)
  parts = [function(*(jnp.asarray(x)[chosen] for x in rows)) for chosen in index]
  return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[:count], *parts)
