"""Networks from (noised, start, timestep, start metric, prompted metric) to parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

from g_pt.models.chunk_transformer import ChunkTransformer, ChunkTransformerConfig
from g_pt.models.neuron_transformer import NeuronTransformer, NeuronTransformerConfig


class Architecture(NamedTuple):
  """One entry of the table of models."""

  module: Any  # (spec, config, residual) -> Linen module
  config: Any  # its frozen dataclass of sizes
  # Whether scalars arrive smooth: timestep in [0, 1] and the metric's coordinate, rather than raw.
  smooth_scalars: bool


ARCHITECTURES: dict[str, Architecture] = {
  "chunk_transformer": Architecture(ChunkTransformer, ChunkTransformerConfig, smooth_scalars=False),
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
