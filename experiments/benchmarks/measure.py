"""What the benchmarks share: the machine's peak, medians, a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import statistics
import time

import jax
import jax.numpy as jnp


def seconds(function: Callable[[], object], repeats: int) -> float:
  """Median wall time of a call, after one that compiles."""
  jax.block_until_ready(function())
  times = []
  for _ in range(repeats):
    began = time.perf_counter()
    jax.block_until_ready(function())
    times.append(time.perf_counter() - began)
  return statistics.median(times)


def peak(size: int = 4096, repeats: int = 7) -> float:
  """FLOP/s of a large float32 matrix product on all cores of this process: the limit that fractions are of."""
  matrix = jnp.ones((size, size))
  product = jax.jit(jnp.matmul)
  return 2 * size**3 / seconds(lambda: product(matrix, matrix), repeats)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Columns of text, the first to the left and the others to the right."""
  lines = [list(header), *[list(row) for row in rows]]
  widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
  texts = [[line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:]))] for line in lines]
  return "\n".join("  ".join(line) for line in texts)
