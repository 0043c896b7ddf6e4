"""Muon (Jordan et al. 2024): matrices step along their orthogonalised momentum, all else as by AdamW.

It makes the steps of `optax.contrib.muon`, in a third of the time: there each
of five iterations multiplies the matrix itself, [128, 512], say; here all five
are of its Gram matrix, [128, 128], and the matrix is multiplied once.
"""

from __future__ import annotations

from collections.abc import Callable
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree
import numpy as np
import optax

from g_pt.models.layers import STACK

# f(s) = a s + b s^3 + c s^5, again and again, takes singular values towards 1.
_COEFFICIENTS = (3.4445, -4.775, 2.0315)
_ITERATIONS = 5
_RMS = 0.2  # of an update before the learning rate: about AdamW's (Liu et al. 2025)


def muon(
  learning_rate: optax.ScalarOrScheduleFn, b1: float, b2: float, weight_decay: float, decays: Callable[[PyTree], PyTree]
) -> optax.GradientTransformation:
  """`b1` and `b2` are AdamW's, of what is no matrix; `decays` marks the weights that decay."""
  matrices = optax.chain(
    optax.contrib.scale_by_muon(ns_steps=0, weight_dimension_numbers=_along_rows),  # momentum, normalised
    optax.stateless(lambda updates, _: _orthogonalised_by_size(updates)),
    optax.stateless_with_tree_map(lambda x, _: _RMS * math.sqrt(max(x.shape[-2:])) * x),
    optax.add_decayed_weights(weight_decay, decays),
    optax.scale_by_learning_rate(learning_rate),
  )
  others = optax.adamw(learning_rate, b1, b2, weight_decay=0.0, nesterov=True)
  return optax.partition({"matrix": matrices, "other": others}, _kinds)


def orthogonalised(matrix: Float[Array, "row column"]) -> Float[Array, "row column"]:
  """Its singular vectors with singular values near 1 (0.7 to 1.2), those next to nothing aside.

  With X the matrix and A = X X^T, an iteration X <- (a + b A + c A^2) X is a
  product by Q, a polynomial of A, with which it commutes: A <- Q A Q.
  """
  if matrix.shape[0] > matrix.shape[1]:
    return orthogonalised(matrix.T).T
  a, b, c = _COEFFICIENTS
  matrix = matrix / (jnp.linalg.norm(matrix) + 1e-8)
  gram, identity = matrix @ matrix.T, jnp.eye(matrix.shape[0])
  product = identity
  for iteration in range(_ITERATIONS):
    polynomial = a * identity + b * gram + c * (gram @ gram)
    product = polynomial @ product if iteration else polynomial
    if iteration < _ITERATIONS - 1:
      gram = polynomial @ (gram @ polynomial)
  return product @ matrix


def _orthogonalised_by_size(updates: PyTree) -> PyTree:
  """Matrices [*layer, row, column], those of a size, lying or standing, at once: a GPU starts fewer products."""
  leaves, tree = jax.tree.flatten(updates)
  of_size: dict[tuple[int, ...], list[int]] = {}
  for index, x in enumerate(leaves):
    of_size.setdefault(tuple(sorted(x.shape[-2:])), []).append(index)
  for size, indices in of_size.items():
    stacks = [_turned(leaves[index], size).reshape(-1, *size) for index in indices]
    ends = np.cumsum([len(stack) for stack in stacks])
    parts = jnp.split(jax.vmap(orthogonalised)(jnp.concatenate(stacks)), ends[:-1])
    for index, part in zip(indices, parts):
      x = leaves[index]
      leaves[index] = _turned(part, x.shape[-2:]).reshape(x.shape)
  return jax.tree.unflatten(tree, leaves)


def _turned(matrices: Float[Array, "*layer row column"], size: tuple[int, ...]) -> Float[Array, "*layer short long"]:
  """Those of another shape than `size` transposed."""
  return matrices if matrices.shape[-2:] == size else matrices.mT


def _kinds(weights: PyTree) -> PyTree:
  def kind(path: tuple[Any, ...], x: Array) -> str:
    stacked = any(getattr(key, "key", None) == STACK for key in path)
    return "matrix" if x.ndim - stacked == 2 else "other"

  return jax.tree_util.tree_map_with_path(kind, weights)


def _along_rows(weights: PyTree) -> PyTree:
  return jax.tree.map(lambda x: optax.contrib.MuonDimensionNumbers(x.ndim - 2, x.ndim - 1), weights)
