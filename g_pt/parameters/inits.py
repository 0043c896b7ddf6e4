"""Ways for a network to start that its task does not use: kernels drawn anew, or all of it scaled."""

from __future__ import annotations

from collections.abc import Callable
import math

import jax
from jax.nn import initializers
import jax.numpy as jnp
from jaxtyping import Array, Float

from g_pt.parameters.spec import ParameterSpec


def _orthogonal(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Float[Array, "..."]:
  """Orthonormal rows or columns; of a convolution, of its kernel as a matrix of patches by channels."""
  matrix = initializers.orthogonal()(key, (math.prod(shape[:-1]), shape[-1]), dtype)
  return matrix.reshape(shape)


# How kernels are drawn. Biases stay as the task has them.
_KERNELS: dict[str, Callable[..., Array]] = {
  "xavier_normal": initializers.xavier_normal(),
  "xavier_uniform": initializers.xavier_uniform(),
  "orthogonal": _orthogonal,
  "kaiming_fan_in": initializers.he_normal(),
  "kaiming_fan_out": initializers.variance_scaling(2.0, "fan_out", "normal"),
}
# Factors on all parameters.
_SCALES = {"own": 1.0, "half": 0.5, "double": 2.0}
INITS = (*_SCALES, *_KERNELS)


def started(
  spec: ParameterSpec, theta: Float[Array, "parameter"], init: str, key: Array
) -> Float[Array, "parameter"]:
  """The task's own initial network, started by one of INITS instead. ValueError where there is no such init."""
  if init in _SCALES:
    return _SCALES[init] * theta
  if init not in _KERNELS:
    raise ValueError(f"init: unknown {init!r}; it is one of: {', '.join(INITS)}")
  arrays = spec.layers(theta)
  for number, (name, array) in enumerate(arrays.items()):
    if array.ndim > 1:
      arrays[name] = _KERNELS[init](jax.random.fold_in(key, number), array.shape)
  return jnp.concatenate([jnp.ravel(array) for array in arrays.values()])
