"""The permutations of hidden units that leave what a network computes unchanged."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from g_pt.parameters.spec import ParameterSpec


def permutation_index(spec: ParameterSpec, permutations: Sequence[Int[Array, "_"]]) -> Int[Array, "parameter"]:
  """The index vector that reorders a flat vector by one permutation a hidden layer.

  `theta[permutation_index(spec, permutations)]` computes the same function as
  `theta`: unit i of a layer is its former unit `permutation[i]`.
  """
  if len(permutations) != len(spec.hidden_layers):
    raise ValueError(f"{len(spec.hidden_layers)} permutations are needed, one a hidden layer, not {len(permutations)}")
  index = spec.layers(jnp.arange(spec.size))
  for layer, permutation in zip(spec.hidden_layers, permutations):
    for name, axis in layer.axes:
      index[name] = jnp.take(index[name], permutation, axis=axis)
  return jnp.concatenate([jnp.ravel(part) for part in index.values()])


def random_permutations(spec: ParameterSpec, key: Array) -> list[Int[Array, "_"]]:
  """One uniformly drawn permutation a hidden layer."""
  keys = jax.random.split(key, max(1, len(spec.hidden_layers)))
  return [jax.random.permutation(k, layer.units) for k, layer in zip(keys, spec.hidden_layers)]
