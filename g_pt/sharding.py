"""Meshes of devices; the only file that names mesh axes. One CPU is a mesh of one."""

from __future__ import annotations

import dataclasses
import math

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from g_pt.errors import ConfigError
from g_pt.fields import Settings, limited

BATCH_AXIS = "batch"


@dataclasses.dataclass(frozen=True)
class MeshConfig(Settings):
  batch: int = limited(-1, least=-1)  # devices that share the batch; -1: all there are

  def check(self) -> None:
    if not self.batch:
      raise ValueError("batch: 0 is neither -1 nor at least 1")


def make_mesh(config: MeshConfig) -> Mesh:
  """A mesh of the first `batch` devices of all processes; ConfigError where there are fewer."""
  available = jax.device_count()
  wanted = available if config.batch == -1 else config.batch
  if wanted > available:
    raise ConfigError(f"mesh.batch: {config.batch} devices are wanted and there are {available}")
  return jax.make_mesh((wanted,), (BATCH_AXIS,), axis_types=(AxisType.Auto,), devices=jax.devices()[:wanted])


def replicated(mesh: Mesh) -> NamedSharding:
  """The whole array on every device."""
  return NamedSharding(mesh, PartitionSpec())


def check_batch(name: str, batch: int, mesh: Mesh) -> None:
  """Raises ConfigError where a batch cannot be cut into equal parts."""
  devices = math.prod(mesh.devices.shape)
  if batch % devices:
    raise ConfigError(f"{name}: {batch} is not a multiple of the {devices} devices of the mesh")


def shard_batch(tree: PyTree, mesh: Mesh, axis: int = 0) -> PyTree:
  """Inside jit: cuts `axis` of every array over the devices."""
  spec = NamedSharding(mesh, PartitionSpec(*[None] * axis, BATCH_AXIS))
  return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, spec), tree)
