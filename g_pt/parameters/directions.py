"""The few directions in which training moves a layer that reads many inputs.

A unit that sees an image has a weight a pixel, but its updates are sums of
training images: nearly all of their variance lies along a few dozen directions.
Along these, a network's update is a vector of a fraction of its length.
"""

from __future__ import annotations

from collections.abc import Mapping
import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from g_pt.parameters.spec import HiddenLayer, ParameterSpec

# By parameter name: orthonormal columns.
Basis = Mapping[str, Float[np.ndarray, "input direction"]]


def principal_directions(spec: ParameterSpec, updates: Float[np.ndarray, "update parameter"], count: int) -> Basis:
  """Top `count` uncentred principal directions of the updates of each parameter with more than `count` weights a unit.

  Parameters along no hidden layer, or along two, are left as they are.
  """
  basis = {}
  for name, axis in _unit_axes(spec).items():
    rows = _rows(updates[:, spec.slices[name]], spec.shape(name), axis)  # [update, input, unit]
    if rows.shape[1] > count:
      moment = np.einsum("nru,nsu->rs", rows, rows, optimize=True) / rows[:, 0].size
      basis[name] = np.linalg.eigh(moment)[1][:, : -count - 1 : -1].astype(np.float32)
  return basis


class Reduction(NamedTuple):
  """Flat vectors of networks <-> shorter ones, in which some parameters are coordinates along a basis."""

  spec: ParameterSpec
  reduced: ParameterSpec  # [direction, unit] in the place of those parameters
  basis: Basis

  @classmethod
  def of(cls, spec: ParameterSpec, basis: Basis) -> Reduction:
    """Raises ValueError where the basis is not one of the spec's parameters."""
    axes = _unit_axes(spec)
    shapes = dict(zip(spec.names, spec.shapes))
    for name, columns in basis.items():
      if name not in axes or math.prod(shapes[name]) != columns.shape[0] * shapes[name][axes[name]]:
        raise ValueError(f"directions of {columns.shape[0]} inputs do not fit {name} of {shapes.get(name)}")
      shapes[name] = (columns.shape[1], shapes[name][axes[name]])
    layers = tuple(
      HiddenLayer(layer.units, tuple((name, 1 if name in basis else axis) for name, axis in layer.axes))
      for layer in spec.hidden_layers
    )
    return cls(spec, ParameterSpec(spec.names, tuple(shapes.values()), spec.treedef, layers), basis)

  def reduce(self, vectors: Float[Array, "batch parameter"]) -> Float[Array, "batch reduced"]:
    """Coordinates of the vectors; what lies beside the basis is lost."""
    if not self.basis:
      return vectors
    axes, parts = _unit_axes(self.spec), []
    for name, part in self.spec.slices.items():
      x = vectors[:, part]
      if name in self.basis:
        x = jnp.einsum("bru,rk->bku", _rows(x, self.spec.shape(name), axes[name]), self.basis[name])
      parts.append(x.reshape(x.shape[0], -1))
    return jnp.concatenate(parts, axis=1)

  def expand(self, reduced: Float[Array, "batch reduced"]) -> Float[Array, "batch parameter"]:
    """Vectors of those coordinates, without anything beside the basis."""
    if not self.basis:
      return reduced
    axes, parts = _unit_axes(self.spec), []
    for name, part in self.reduced.slices.items():
      x = reduced[:, part]
      if name in self.basis:
        shape, axis = self.spec.shape(name), axes[name]
        rows = jnp.einsum("bku,rk->bru", x.reshape(x.shape[0], *self.reduced.shape(name)), self.basis[name])
        rest = tuple(n for i, n in enumerate(shape) if i != axis)
        x = jnp.moveaxis(rows.reshape(x.shape[0], *rest, shape[axis]), -1, axis + 1)
      parts.append(x.reshape(x.shape[0], -1))
    return jnp.concatenate(parts, axis=1)


def _unit_axes(spec: ParameterSpec) -> dict[str, int]:
  """The parameters along exactly one hidden layer, and the axis on which its units lie."""
  axes: dict[str, list[int]] = {}
  for layer in spec.hidden_layers:
    for name, axis in layer.axes:
      axes.setdefault(name, []).append(axis)
  return {name: found[0] for name, found in axes.items() if len(found) == 1}


def _rows(flat: Array | np.ndarray, shape: tuple[int, ...], axis: int) -> Array | np.ndarray:
  """[batch, entry] -> [batch, input, unit]."""
  numpy = jnp if not isinstance(flat, np.ndarray) else np
  x = numpy.moveaxis(flat.reshape(flat.shape[0], *shape), axis + 1, -1)
  return x.reshape(flat.shape[0], -1, shape[axis])
