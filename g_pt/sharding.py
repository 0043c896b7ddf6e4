"""Meshes of devices, and which part of an array lies on which; the only file that names mesh axes.

A mesh has four axes. The batch is cut over the first three of them, weights and
all that goes with them (gradients, averages, moments of the optimizer) over the
last two:

    replica   weights are copied: across slices that a slow network joins
    data      weights are copied: across devices that a fast network joins
    fsdp      weights are cut and gathered layer by layer (fully sharded data parallelism)
    tensor    the inner width of a block is cut: heads, and hidden units of its MLP

One CPU is a mesh of one, and all of this then says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import contextvars
import dataclasses
import functools
import math
import re
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree
import numpy as np

from g_pt.errors import ConfigError
from g_pt.fields import Settings, limited

AXES = ("replica", "data", "fsdp", "tensor")
_BATCH = AXES[:3]

# By the end of a weight's path, the first that fits: the mesh axis that each of its last axes is cut over.
RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
  (r"(qkv|mlp_in)/kernel", ("fsdp", "tensor")),
  (r"(qkv|mlp_in)/bias", ("tensor",)),
  (r"(attention_out|mlp_out)/kernel", ("tensor", "fsdp")),
  (r"decode_\d+_\d+/kernel", ("fsdp", None)),
  (r"kernel", (None, "fsdp")),
  (r"positions", (None, "fsdp")),
)


@dataclasses.dataclass(frozen=True)
class MeshConfig(Settings):
  """Devices along each axis; -1, of one of them at most: all that are left."""

  replica: int = limited(1, least=-1)
  data: int = limited(-1, least=-1)
  fsdp: int = limited(1, least=-1)
  tensor: int = limited(1, least=-1)

  def check(self) -> None:
    for axis, size in zip(AXES, self.sizes):
      if not size:
        raise ValueError(f"{axis}: 0 is neither -1 nor at least 1")
    if self.sizes.count(-1) > 1:
      raise ValueError(f"{AXES[self.sizes.index(-1)]}: only one axis can be -1, not several of {self.sizes}")

  @property
  def sizes(self) -> tuple[int, ...]:
    return tuple(getattr(self, axis) for axis in AXES)


def make_mesh(config: MeshConfig, devices: Sequence[Any] | None = None) -> Mesh:
  """A mesh of the first of `devices`, None: those of all processes; ConfigError where there are too few for it."""
  devices = jax.devices() if devices is None else devices
  fixed = math.prod(size for size in config.sizes if size != -1)
  sizes = [max(1, len(devices) // fixed) if size == -1 else size for size in config.sizes]
  wanted = math.prod(sizes)
  if wanted > len(devices):
    shape = " x ".join(f"{axis} {size}" for axis, size in zip(AXES, sizes) if size > 1)
    raise ConfigError(f"mesh: {wanted} devices are wanted ({shape}) and there are {len(devices)}")
  return jax.make_mesh(sizes, AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=devices[:wanted])


def replicated(mesh: Mesh) -> NamedSharding:
  """The whole array on every device."""
  return NamedSharding(mesh, PartitionSpec())


def place(tree: PyTree, mesh: Mesh) -> PyTree:
  """Copies on every device of the mesh, of all processes, of arrays that each process has alike."""
  whole = replicated(mesh)

  def copied(x: Any) -> jax.Array:
    if whole.is_fully_addressable:
      return jax.device_put(x, whole)
    host = np.asarray(x)
    return jax.make_array_from_callback(host.shape, whole, lambda index: host[index])

  return jax.tree.map(copied, tree)


def of_weights(tree: PyTree, mesh: Mesh) -> PyTree:
  """The sharding of every leaf of weights, or of what has their paths inside of its own; of arrays or their shapes."""
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: NamedSharding(mesh, spec_of(_written(path), leaf.shape, mesh)), tree
  )


def spec_of(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
  """By the rules; an axis that cannot be cut into equal parts stays whole, as do axes in front of those of the rule."""
  for pattern, axes in RULES:
    if re.search(rf"(^|/){pattern}$", path) and len(shape) >= len(axes):
      cut = [axis if axis and size % mesh.shape[axis] == 0 else None for axis, size in zip(axes, shape[-len(axes) :])]
      return PartitionSpec(*[None] * (len(shape) - len(axes)), *cut)
  return PartitionSpec()


def _written(path: tuple[object, ...]) -> str:
  """The keys of a leaf: `average/params/block_0/qkv/kernel`."""
  return "/".join(str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path)


def on_each(function: Callable[..., PyTree], devices: Sequence[Any]) -> Callable[..., PyTree]:
  """`compiled(shared, *rows)` -> `function(shared, *row)` of each row, stacked: as many rows as there are devices.

  Each device works for itself: there is no word between them in the program.
  """
  mesh = Mesh(devices, ("each",))

  def one(shared: PyTree, *rows: PyTree) -> PyTree:
    found = function(shared, *jax.tree.map(lambda x: x[0], rows))
    return jax.tree.map(lambda x: x[None], found)

  def every(shared: PyTree, *rows: PyTree) -> PyTree:
    whole, cut = PartitionSpec(), PartitionSpec("each")
    specs = (whole, *[cut] * len(rows))
    return jax.shard_map(one, mesh=mesh, in_specs=specs, out_specs=cut, check_vma=False)(shared, *rows)

  return jax.jit(every)


def on_all(tree: PyTree, devices: Sequence[Any]) -> PyTree:
  """Copies of arrays on every device, as `on_each` shares them."""
  return jax.device_put(tree, NamedSharding(Mesh(devices, ("each",)), PartitionSpec()))


def sharers(mesh: Mesh) -> int:
  """Devices that share a batch."""
  return math.prod(mesh.shape[axis] for axis in _BATCH)


def check_batch(name: str, batch: int, mesh: Mesh) -> None:
  """Raises ConfigError where a batch cannot be cut into equal parts."""
  parts = sharers(mesh)
  if batch % parts:
    raise ConfigError(f"{name}: {batch} is not a multiple of the {parts} devices of the mesh that share a batch")


# The mesh that programs are traced for; None: models say nothing of where their activations lie.
_TRACED_FOR: contextvars.ContextVar[Mesh | None] = contextvars.ContextVar("mesh", default=None)


@contextlib.contextmanager
def traced_for(mesh: Mesh) -> Iterator[None]:
  """Within it, `activation` cuts arrays over this mesh."""
  token = _TRACED_FOR.set(mesh)
  try:
    yield
  finally:
    _TRACED_FOR.reset(token)


def activation(x: jax.Array, *axes: str | None) -> jax.Array:
  """Of a model, inside jit: `batch` and `inner` name the axes of x that are cut, if there is a mesh to cut them over.

  Without it the compiler may leave weights in parts and exchange activations of
  the whole batch, which are larger.
  """
  mesh = _TRACED_FOR.get()
  if mesh is None or mesh.size == 1:
    return x
  over = {"batch": _BATCH, "inner": ("tensor",), None: ()}
  parts = [math.prod(mesh.shape[name] for name in over[axis]) for axis in axes]
  cut = [over[axis] if size % count == 0 else None for axis, size, count in zip(axes, x.shape, parts)]
  return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec(*cut)))


def gathered(kernel: jax.Array, path: str) -> jax.Array:
  """Of a model, inside jit: the weights of that path whole over `fsdp`; their gradient is cut as they are.

  They are exchanged in the type that they come in, and once where they are kept
  for the gradient. Left to itself the compiler passes parts of them round beside
  every product, those of the gradient again.
  """
  mesh = _TRACED_FOR.get()
  if mesh is None or mesh.shape["fsdp"] == 1:
    return kernel
  cut = spec_of(path, kernel.shape, mesh)
  whole = PartitionSpec(*[None if axis == "fsdp" else axis for axis in cut])
  return _resharded(NamedSharding(mesh, cut), NamedSharding(mesh, whole), kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _resharded(before: NamedSharding, after: NamedSharding, x: jax.Array) -> jax.Array:
  """From one sharding to another, and its gradient back."""
  return jax.lax.with_sharding_constraint(jax.lax.with_sharding_constraint(x, before), after)


def _resharded_forward(before, after, x):
  return _resharded(before, after, x), None


def _resharded_backward(before, after, _, gradient):
  del after
  return (jax.lax.with_sharding_constraint(gradient, before),)


_resharded.defvjp(_resharded_forward, _resharded_backward)


def shard_batch(tree: PyTree, mesh: Mesh, axis: int = 0) -> PyTree:
  """Inside jit: cuts `axis` of every array over the devices that share a batch."""
  spec = NamedSharding(mesh, PartitionSpec(*[None] * axis, _BATCH))
  return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, spec), tree)


def batch_of(read: Callable[[np.ndarray], PyTree], size: int, mesh: Mesh) -> PyTree:
  """Arrays [part, pair, ...], cut over the devices that share a batch as by `shard_batch` with axis 1.

  `read` gives the arrays of some of the `size` pairs of each part: those that
  the devices of this process work on. Outside jit, each process for itself.
  """
  cut = NamedSharding(mesh, PartitionSpec(None, _BATCH))
  places = cut.addressable_devices_indices_map((1, size)).values()
  pairs = np.unique(np.concatenate([np.arange(size)[place[1]] for place in places if place]))
  found = read(pairs)

  def whole(x: np.ndarray) -> jax.Array:
    def part(index: Any) -> np.ndarray:
      first, last, _ = index[1].indices(size)
      begin = np.searchsorted(pairs, first)
      return x[:, begin : begin + last - first]

    return jax.make_array_from_callback((x.shape[0], size, *x.shape[2:]), cut, part)

  return jax.tree.map(whole, found)
