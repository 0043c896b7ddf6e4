"""Networks as vectors: pytree <-> flat vector <-> named arrays.

The order of a flat vector is that of `jax.tree_util`: the keys of every
dictionary sorted, arrays in row-major order. With layers named `layer_0`,
`layer_1`, ... it reads `layer_0/bias, layer_0/kernel, layer_1/bias, ...`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num, PyTree
import numpy as np

Parameters = PyTree[Float[Array, "..."]]
# Another layout of a network's numbers: its arrays one by one, each by its name and the permutation of its axes.
Arrangement = tuple[tuple[str, tuple[int, ...]], ...]


@dataclasses.dataclass(frozen=True)
class HiddenLayer:
  """Hidden units that may change places without changing the network.

  `axes` lists every (parameter name, axis) along which the units lie.
  """

  units: int
  axes: tuple[tuple[str, int], ...]


@dataclasses.dataclass(frozen=True)
class ParameterSpec:
  """Names, shapes and order of one network's parameters, and its hidden layers."""

  names: tuple[str, ...]
  shapes: tuple[tuple[int, ...], ...]
  treedef: Any
  hidden_layers: tuple[HiddenLayer, ...] = ()

  @classmethod
  def of(cls, tree: PyTree, hidden_layers: Sequence[HiddenLayer] = ()) -> ParameterSpec:
    """The spec of one network's pytree (arrays or `jax.ShapeDtypeStruct`).

    Raises ValueError where a hidden layer names an unknown parameter or an
    axis whose length is not the number of units.
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(tree)
    names = tuple("/".join(str(entry.key) for entry in path) for path, _ in leaves)
    shapes = tuple(tuple(leaf.shape) for _, leaf in leaves)
    spec = cls(names, shapes, treedef, tuple(hidden_layers))
    for layer in spec.hidden_layers:
      for name, axis in layer.axes:
        if name not in names:
          raise ValueError(f"hidden layer of {layer.units} units: no parameter {name!r} among {names}")
        if spec.shape(name)[axis] != layer.units:
          raise ValueError(f"{name}: axis {axis} of {spec.shape(name)} does not hold {layer.units} units")
    return spec

  @property
  def size(self) -> int:
    """Number of parameters of one network."""
    return sum(self.sizes)

  @property
  def sizes(self) -> tuple[int, ...]:
    return tuple(math.prod(shape) for shape in self.shapes)

  @property
  def slices(self) -> dict[str, slice]:
    """Where each named parameter lies in the flat vector."""
    ends = np.cumsum(self.sizes)
    return {n: slice(int(end) - size, int(end)) for n, size, end in zip(self.names, self.sizes, ends)}

  def shape(self, name: str) -> tuple[int, ...]:
    return self.shapes[self.names.index(name)]

  def flatten(self, tree: Parameters) -> Float[Array, "parameter"]:
    """One network's pytree -> flat vector. Raises ValueError on other shapes."""
    leaves, treedef = jax.tree_util.tree_flatten(tree)
    shapes = tuple(tuple(jnp.shape(leaf)) for leaf in leaves)
    if treedef != self.treedef or shapes != self.shapes:
      raise ValueError(
        f"a network of {dict(zip(self.names, self.shapes))} is needed, this one has {shapes} in {treedef}"
      )
    return jnp.concatenate([jnp.ravel(leaf) for leaf in leaves])

  def layers(self, theta: Num[Array, "parameter"]) -> dict[str, Num[Array, "..."]]:
    """Flat vector -> parameter name -> array."""
    if theta.shape != (self.size,):
      raise ValueError(f"a vector of {self.size} parameters is needed, this one has shape {theta.shape}")
    return {n: theta[self.slices[n]].reshape(shape) for n, shape in zip(self.names, self.shapes)}

  def unflatten(self, theta: Float[Array, "parameter"]) -> Parameters:
    """Flat vector -> one network's pytree; the exact inverse of `flatten`."""
    return jax.tree_util.tree_unflatten(self.treedef, list(self.layers(theta).values()))

  def repeated(self, by_name: Mapping[str, Any]) -> Float[np.ndarray, "parameter"]:
    """For each array a number, or one that broadcasts to its shape -> a flat vector of them over all entries."""
    whole = (np.broadcast_to(np.float32(by_name[n]), shape) for n, shape in zip(self.names, self.shapes))
    return np.concatenate([part.ravel() for part in whole])

  def rms(self, theta: Float[Array | np.ndarray, "net parameter"]) -> dict[str, Float[Array, "net"]]:
    """Root mean square of each named array of each network."""
    return {name: jnp.sqrt(jnp.square(theta[:, part]).mean(axis=1)) for name, part in self.slices.items()}

  def shortened(
    self, theta: Float[Array, "net parameter"], longest: Mapping[str, float]
  ) -> Float[Array, "net parameter"]:
    """Networks no named array of which has a root mean square above its `longest`."""
    parts = []
    for name, size in self.rms(theta).items():
      factor = jnp.minimum(1.0, longest[name] / jnp.maximum(size, 1e-12))
      parts.append(factor[:, None] * theta[:, self.slices[name]])
    return jnp.concatenate(parts, axis=1)

  def arrangement_index(self, arrangement: Arrangement) -> Int[np.ndarray, "parameter"]:
    """The index vector that brings a flat vector into another layout, `theta[index]`; its argsort leads back.

    Raises ValueError where `arrangement` does not name every array once, with its axes.
    """
    axes = {name: sorted(axes) for name, axes in arrangement}
    wanted = {n: list(range(len(shape))) for n, shape in zip(self.names, self.shapes)}
    if len(axes) != len(arrangement) or axes != wanted:
      shapes = dict(zip(self.names, self.shapes))
      raise ValueError(f"an arrangement of the parameters {shapes} is needed, not {arrangement}")
    index = np.split(np.arange(self.size), np.cumsum(self.sizes)[:-1])
    arrays = {n: part.reshape(shape) for n, shape, part in zip(self.names, self.shapes, index)}
    return np.concatenate([arrays[name].transpose(axes).ravel() for name, axes in arrangement])

  def arranged(self, arrangement: Arrangement) -> ParameterSpec:
    """The spec of a list of the arrays in another layout, transposed as it says; without the symmetry."""
    shapes = tuple(tuple(self.shape(name)[axis] for axis in axes) for name, axes in arrangement)
    return ParameterSpec(tuple(name for name, _ in arrangement), shapes, jax.tree.structure([0] * len(arrangement)))
