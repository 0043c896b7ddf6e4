"""The release's transformer, its `state_dict` as arrays -> configuration and weights of ChunkTransformer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import math
import re
from typing import Any

import numpy as np

from g_pt.models.chunk_transformer import ChunkTransformerConfig, token_sizes

_ENCODERS, _DECODERS = "decoder.input_parameter_projections", "decoder.output_parameter_projections"
_FREQUENCIES = "scalar_embedder.frequencies"
# Linear layers of a block: ours -> the release's, side by side in ours.
_BLOCK_LINEAR = {
  "qkv": ("attn.query", "attn.key", "attn.value"),
  "attention_out": ("attn.proj",),
  "mlp_in": ("mlp.0",),
  "mlp_out": ("mlp.2",),
}


def _required(state: Mapping[str, Any], name: str) -> Any:
  if name not in state:
    raise ValueError(f"weights of a G.pt transformer: there is no {name}")
  return state[name]


def _count(state: Mapping[str, Any], prefix: str) -> int:
  """How many of `prefix`.0, `prefix`.1, ... there are."""
  found = (re.match(rf"{re.escape(prefix)}\.(\d+)\.", name) for name in state)
  return len({match.group(1) for match in found if match})


def _projection_sizes(state: Mapping[str, Any], prefix: str, axis: int) -> tuple[list[int], int]:
  """Entries of every token and the number of linear layers of its encoder (axis 1) or decoder (axis 0)."""
  depth = max(1, _count(state, f"{prefix}.0"))
  layer = 0 if axis == 1 else 2 * (depth - 1)
  tokens = range(max(1, _count(state, prefix)))
  return [_required(state, f"{prefix}.{i}.{layer}.weight").shape[axis] for i in tokens], depth


def config_of_state(state: Mapping[str, np.ndarray], layer_sizes: Sequence[int], heads: int) -> ChunkTransformerConfig:
  """The configuration that weights were made with, read off their shapes.

  `layer_sizes` are those of the network's parameters in the release's order;
  the number of heads (16 for MNIST and CIFAR-10, 12 for Cartpole) shows in no
  shape. Raises ValueError where the weights are not for such a network.
  """
  inputs, encoder_depth = _projection_sizes(state, _ENCODERS, axis=1)
  outputs, decoder_depth = _projection_sizes(state, _DECODERS, axis=0)
  frequencies = np.asarray(_required(state, _FREQUENCIES), np.float32)
  scalars = sum(inputs) - 2 * sum(outputs)
  read = ChunkTransformerConfig(
    width=_required(state, "decoder.pos_emb").shape[2],
    depth=_count(state, "decoder.blocks"),
    heads=heads,
    encoder_depth=encoder_depth,
    decoder_depth=decoder_depth,
    absolute_metrics=scalars == 4 * (2 * len(frequencies) + 1),
    frequencies=len(frequencies),
    max_log2_frequency=float(round(math.log2(frequencies[-1]), 3)),
    frequency_values=tuple(frequencies.tolist()),
  )
  # Where policies cut alike, the first is as good as the others.
  for policy in ("layer_by_layer", "chunk_within_layer", "chunk"):
    # A vector shorter than a chunk does not tell how long a chunk is; together with the scalars it may.
    chunk_size = max(inputs if policy == "chunk" else outputs)
    config = dataclasses.replace(read, split_policy=policy, chunk_size=chunk_size)
    if token_sizes(layer_sizes, config) == (inputs, outputs):
      return config
  raise ValueError(
    f"weights of a G.pt transformer: tokens of {outputs} entries do not cut layers of {list(layer_sizes)} parameters"
  )


def flax_parameters(state: Mapping[str, np.ndarray], config: ChunkTransformerConfig) -> dict[str, Any]:
  """The release's `state_dict`, as arrays -> {"params": ...} for `ChunkTransformer.apply`.

  Raises ValueError where a weight is missing, or one is left that `config` has no place for.
  """
  left = {name: np.asarray(value, np.float32) for name, value in state.items() if name != _FREQUENCIES}

  def take(name: str) -> np.ndarray:
    value = _required(left, name)
    del left[name]
    return value

  def norm(name: str) -> dict[str, np.ndarray]:
    return {"scale": take(f"{name}.weight"), "bias": take(f"{name}.bias")}

  def kernel(name: str) -> dict[str, np.ndarray]:
    return {"kernel": take(f"{name}.weight").T}

  def linear(block: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    weights, biases = ([take(f"{block}.{name}.{kind}") for name in names] for kind in ("weight", "bias"))
    return {"kernel": np.concatenate(weights).T, "bias": np.concatenate(biases)}

  params: dict[str, Any] = {"positions": take("decoder.pos_emb")[0]}
  params |= {"norm_in": norm("decoder.ln_in"), "norm_out": norm("decoder.ln_f")}
  for i in range(config.depth):
    block = f"decoder.blocks.{i}"
    params[f"block_{i}"] = {
      "attention_norm": norm(f"{block}.ln1"),
      "mlp_norm": norm(f"{block}.ln2"),
      **{ours: linear(block, theirs) for ours, theirs in _BLOCK_LINEAR.items()},
    }
  # An encoder or decoder is a list of linear layers with GELUs in between, which count.
  for ours, theirs, depth in (("encode", _ENCODERS, config.encoder_depth), ("decode", _DECODERS, config.decoder_depth)):
    for token in range(_count(state, theirs)):
      for layer in range(depth):
        params[f"{ours}_{token}_{layer}"] = kernel(f"{theirs}.{token}.{2 * layer}")
  if left:
    raise ValueError(f"weights of a G.pt transformer: no place for {', '.join(sorted(left))}")
  return {"params": params}
