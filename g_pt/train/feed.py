"""What training steps are fed with: the corpus on the devices, or pairs that are read while they run; uses Grain.

Both draw the same pairs: those of a step follow from the key and the step's
number. So there is no state of a reader to save: a training that goes on from a
checkpoint reads the pairs of the steps after it. Each process reads the part of
a batch that its own devices work on.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import itertools
import os
from pathlib import Path
from typing import Any

import grain
import jax
from jaxtyping import Array
import numpy as np

from g_pt import sharding
from g_pt.corpus.families import FamilySource
from g_pt.corpus.pairs import Pairs, PairSource, Places, Stored, Targets, draw_places, read_pairs
from g_pt.train.step import Step

# Of a device's memory that a corpus may take: the host keeps it too, which on a CPU is the same memory.
_SHARE = 0.25
# What a container may take, by Linux's control groups, of both versions.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_AHEAD = 4  # batches that are read before they are asked for
_READERS = 2  # threads; each lets TensorStore read many chunks at once


def fits(size: int) -> bool:
  """Whether a corpus of so many bytes can lie on every device, beside the model."""
  return size <= _SHARE * min(map(_memory, jax.local_devices()))


def _memory(device: Any) -> float:
  """Bytes of a device; of a CPU its share of the machine's."""
  found = device.memory_stats()
  if found and "bytes_limit" in found:
    return found["bytes_limit"]
  limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
  for file in map(Path, _LIMITS):
    if file.exists() and (text := file.read_text().strip()).isdigit():
      limits.append(int(text))
  return min(limits) / jax.local_device_count()


@contextlib.contextmanager
def feeding(
  step: Step, source: PairSource | FamilySource | Stored, key: Array, first: int
) -> Iterator[Iterator[PairSource | FamilySource | Pairs]]:
  """What the steps after `first` take as their source, each in turn; `key` is that of all steps."""
  if not isinstance(source, Stored):
    yield itertools.repeat(sharding.place(source, step.mesh))
    return
  batches = iter(_batches(step, source, key, first))
  try:
    yield batches
  finally:
    batches.close()


def _batches(step: Step, source: Stored, key: Array, first: int) -> grain.IterDataset[Pairs]:
  """Batches [microbatch, pair, ...] of the steps after `first`, on the devices of the mesh."""
  config = step.config
  shape = config.microbatches, config.batch_size // config.microbatches
  targets, key = jax.device_put((source.targets, key), _host_device())
  on_host = source._replace(targets=jax.tree.map(np.asarray, targets))

  @jax.jit
  def draw(targets: Targets, key: Array, number: Any) -> Places:
    return draw_places(targets, config.pairs, step.pair_key(key, number), config.batch_size)

  def read(number: int) -> Pairs:
    places = Places(*(np.asarray(x).reshape(shape) for x in draw(targets, key, number)))

    def part(columns: np.ndarray) -> Pairs:
      pairs = read_pairs(on_host, Places(*(x[:, columns].ravel() for x in places)))
      return jax.tree.map(lambda x: x.reshape(shape[0], len(columns), *x.shape[1:]), pairs)

    return sharding.batch_of(part, shape[1], step.mesh)

  return grain.MapDataset.range(first, config.steps).map(read).to_iter_dataset(grain.ReadOptions(_READERS, _AHEAD))


def _host_device() -> Any:
  """A CPU, where JAX has one beside its accelerators: what is drawn there waits for no step."""
  try:
    return jax.local_devices(backend="cpu")[0]
  except RuntimeError:  # JAX_PLATFORMS names accelerators alone
    return jax.local_devices()[0]
