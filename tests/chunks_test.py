"""Chunks are of one size, and what comes back is as if there were none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import chunks


@pytest.mark.parametrize("count", [1, 3, 5, 8, 9, 16, 19])
@pytest.mark.parametrize("whole", [False, True])
def test_results_are_those_of_all_rows_at_once(count, whole):
  sizes = set()

  def function(rows, numbers):
    sizes.add(len(rows))
    return {"sum": rows.sum(axis=1) + numbers, "rows": 2 * rows}

  rows = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
  found = chunks.in_chunks(function, 8, rows, jnp.arange(count), whole=whole)
  wanted = {"sum": rows.sum(axis=1) + np.arange(count), "rows": 2 * rows}
  jax.tree.map(np.testing.assert_array_equal, found, wanted)
  assert sizes == ({8} if whole else {{1: 1, 3: 4}.get(count, 8)})
