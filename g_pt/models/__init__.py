"""Networks from (noised, start, timestep, start metric, prompted metric) to parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

from g_pt.models.chunk_transformer import ChunkTransformer, ChunkTransformerConfig
from g_pt.models.class_transformer import ClassTransformer, ClassTransformerConfig
from g_pt.models.neuron_transformer import NeuronTransformer, NeuronTransformerConfig


class Architecture(NamedTuple):
  """One entry of the table of models."""

  module: Any  # (spec, config, residual) -> Linen module; of many data sets (config, scale) -> one
  config: Any  # its frozen dataclass of sizes
  # Whether scalars arrive smooth: timestep in [0, 1] and the metric's coordinate, rather than raw.
  smooth_scalars: bool
  many_sets: bool = False  # whether it is told of a data set, and so for tasks that are families of these


ARCHITECTURES: dict[str, Architecture] = {
  "chunk_transformer": Architecture(ChunkTransformer, ChunkTransformerConfig, smooth_scalars=False),
  "class_transformer": Architecture(ClassTransformer, ClassTransformerConfig, smooth_scalars=True, many_sets=True),
  "neuron_transformer": Architecture(NeuronTransformer, NeuronTransformerConfig, smooth_scalars=True),
}


def get(name: str) -> Architecture:
  """The architecture of that name; ValueError, naming those there are, if there is none."""
  if name not in ARCHITECTURES:
    raise ValueError(f"unknown {name!r}; it is one of: {', '.join(ARCHITECTURES)}")
  return ARCHITECTURES[name]


def of_config(config: Any) -> Architecture:
  """The architecture whose sizes `config` holds."""
  return next(entry for entry in ARCHITECTURES.values() if isinstance(config, entry.config))
