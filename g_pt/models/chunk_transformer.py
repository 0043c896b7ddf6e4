"""The transformer of Peebles et al. 2022: one token per chunk of the flat parameter vector.

    [noised | start | timestep | prompt - start | prompt | start metric], cut into tokens
    -> an encoder a token, blocks, a decoder a chunk of the noised -> parameters

It knows nothing of the symmetry of networks and needs wide layers and many
steps: below 60M weights it largely fails.

Shape suffixes: B batch, T token, D width, E entries of query, key and value.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from g_pt import sharding
from g_pt.fields import Settings, limited
from g_pt.models.layers import STACK, Dense, LayerNorm, attention, frequency_features, gelu, log_spaced_frequencies
from g_pt.parameters import ParameterSpec

SPLIT_POLICIES = ("chunk", "layer_by_layer", "chunk_within_layer")
DTYPES = ("float32", "bfloat16")
MLP_RATIO = 4
LAYER_NORM_EPSILON = 1e-5  # PyTorch's; Flax's is 1e-6


@dataclasses.dataclass(frozen=True)
class ChunkTransformerConfig(Settings):
  """Sizes of the model; the defaults are the published ones for MNIST, 378M weights."""

  width: int = limited(1536, least=1)
  depth: int = limited(12, least=1)  # blocks
  heads: int = limited(16, least=1)
  # Where tokens end: anywhere, scalars included (`chunk`); with each layer; or within layers.
  split_policy: str = limited("chunk_within_layer", choices=SPLIT_POLICIES)
  chunk_size: int = limited(1000, least=1)  # most entries of a token; without effect for `layer_by_layer`
  encoder_depth: int = limited(1, least=1)  # linear layers of a token's encoder, GELU between them
  decoder_depth: int = limited(1, least=1)
  absolute_metrics: bool = True  # whether both metrics are tokens, beside their difference
  frequencies: int = limited(128, least=1)
  max_log2_frequency: float = limited(14.0, least=0)
  # Frequencies of released weights, bit for bit; (): those of `log_spaced_frequencies`.
  frequency_values: tuple[float, ...] = ()
  # Of what blocks compute; weights, norms, softmax and what comes out are float32.
  dtype: str = limited("float32", choices=DTYPES)
  # Whether the blocks are one program run `depth` times, their weights stacked: quick to compile.
  scan: bool = False
  remat: bool = False  # whether a block is computed again for its gradient, not kept: less memory, a third more work

  def check(self) -> None:
    if self.width % self.heads:
      raise ValueError(f"width: {self.width} is not a multiple of the {self.heads} heads")
    if self.frequency_values and len(self.frequency_values) != self.frequencies:
      raise ValueError(f"frequency_values: {len(self.frequency_values)} values, not {self.frequencies}")

  @property
  def scalars(self) -> int:
    """Timestep and metric difference, and with `absolute_metrics` prompted and start metric."""
    return 4 if self.absolute_metrics else 2

  @property
  def scalar_features(self) -> int:
    return 2 * self.frequencies + 1


def token_sizes(layer_sizes: Sequence[int], config: ChunkTransformerConfig) -> tuple[list[int], list[int]]:
  """Entries of every input token and of every output token, in order.

  Input tokens cut the noised vector, the start vector and the scalars' features,
  one behind the other; output tokens, the first of them, cut a vector.
  """

  def cut(size: int) -> list[int]:
    return [min(config.chunk_size, size - begin) for begin in range(0, size, config.chunk_size)]

  scalars = [config.scalar_features] * config.scalars
  match config.split_policy:
    case "chunk":
      return cut(2 * sum(layer_sizes) + sum(scalars)), cut(sum(layer_sizes))
    case "layer_by_layer":
      outputs = list(layer_sizes)
    case "chunk_within_layer":
      outputs = [chunk for size in layer_sizes for chunk in cut(size)]
  return [*outputs, *outputs, *scalars], outputs


def split(vector: Float[Array, "batch entry"], sizes: Sequence[int]) -> list[Float[Array, "batch _"]]:
  """Cuts vectors into tokens of these sizes; `jnp.concatenate(..., axis=1)` is the inverse."""
  return jnp.split(vector, np.cumsum(sizes)[:-1], axis=1)


def scalar_features(value_B: Float[Array, "batch"], config: ChunkTransformerConfig) -> Float[Array, "batch feature"]:
  """A scalar as a token."""
  frequencies = log_spaced_frequencies(config.frequencies, config.max_log2_frequency)
  return frequency_features(value_B, np.asarray(config.frequency_values or frequencies, np.float32))


_linear = functools.partial(Dense, kernel_init=nn.initializers.normal(0.02))


class Block(nn.Module):
  """A pre-LN transformer block; every token attends to all, in both directions."""

  heads: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x_BxTxD: Float[Array, "batch token width"]) -> Float[Array, "batch token width"]:
    width, linear = x_BxTxD.shape[2], functools.partial(_linear, dtype=self.dtype)
    qkv_BxTxE = linear(3 * width, name="qkv")(LayerNorm(LAYER_NORM_EPSILON, name="attention_norm")(x_BxTxD))
    x_BxTxD = x_BxTxD + linear(width, name="attention_out")(attention(qkv_BxTxE, self.heads))
    x_BxTxD = sharding.activation(x_BxTxD, "batch", None, None)
    hidden = gelu(linear(MLP_RATIO * width, name="mlp_in")(LayerNorm(LAYER_NORM_EPSILON, name="mlp_norm")(x_BxTxD)))
    hidden = sharding.activation(hidden, "batch", None, "inner")
    return sharding.activation(x_BxTxD + linear(width, name="mlp_out")(hidden), "batch", None, None)


class ChunkTransformer(nn.Module):
  """(noised, start, timestep, start metric, prompted metric) -> x0, for a batch of examples.

  Vectors are in the diffusion's units; the timestep and the metrics are taken
  as they come, raw in the paper. With `residual` the output adds to `start`,
  which suits x0 where x0 is a network, not an update or the noise.
  """

  spec: ParameterSpec
  config: ChunkTransformerConfig
  residual: bool = True

  @nn.compact
  def __call__(
    self,
    noised: Float[Array, "batch parameter"],
    start: Float[Array, "batch parameter"],
    timestep: Float[Array, "batch"],
    start_metric: Float[Array, "batch"],
    prompted_metric: Float[Array, "batch"],
  ) -> Float[Array, "batch parameter"]:
    c = self.config
    scalars = [timestep, prompted_metric - start_metric, prompted_metric, start_metric][: c.scalars]
    inputs = jnp.concatenate([noised, start, *(scalar_features(value, c) for value in scalars)], axis=1)
    inputs = sharding.activation(inputs, "batch", None)
    input_sizes, output_sizes = token_sizes(self.spec.sizes, c)

    tokens = [self._encode(token, i) for i, token in enumerate(split(inputs, input_sizes))]
    x_BxTxD = LayerNorm(LAYER_NORM_EPSILON, name="norm_in")(jnp.stack(tokens, axis=1))
    x_BxTxD = x_BxTxD + self.param("positions", nn.initializers.zeros, (len(tokens), c.width))[None]
    x_BxTxD = self._blocks(sharding.activation(x_BxTxD, "batch", None, None))
    x_BxTxD = LayerNorm(LAYER_NORM_EPSILON, name="norm_out")(x_BxTxD[:, : len(output_sizes)])
    out = jnp.concatenate([self._decode(x_BxTxD[:, i], i, size) for i, size in enumerate(output_sizes)], axis=1)
    return start + out if self.residual else out

  def _blocks(self, x_BxTxD: Float[Array, "batch token width"]) -> Float[Array, "batch token width"]:
    """Weights of the blocks are `block_0`, `block_1`, ..., or stacked: `blocks`."""
    c = self.config
    block = nn.remat(Block, prevent_cse=not c.scan) if c.remat else Block
    if c.scan:
      blocks = nn.scan(
        lambda block, x, _: (block(x), None),
        variable_axes={"params": 0},
        split_rngs={"params": True},
        length=c.depth,
      )
      return blocks(block(c.heads, jnp.dtype(c.dtype), name=STACK), x_BxTxD, None)[0]
    for i in range(c.depth):
      x_BxTxD = block(c.heads, jnp.dtype(c.dtype), name=f"block_{i}")(x_BxTxD)
    return x_BxTxD

  def _encode(self, token, i: int) -> Float[Array, "batch width"]:
    for layer in range(self.config.encoder_depth):
      token = _linear(self.config.width, use_bias=False, name=f"encode_{i}_{layer}")(gelu(token) if layer else token)
      token = sharding.activation(token, "batch", None)
    return token

  def _decode(self, token: Float[Array, "batch width"], i: int, size: int) -> Float[Array, "batch size"]:
    last = self.config.decoder_depth - 1
    for layer in range(last):
      token = gelu(_linear(self.config.width, use_bias=False, name=f"decode_{i}_{layer}")(token))
    out = Dense(size, use_bias=False, kernel_init=nn.initializers.zeros, name=f"decode_{i}_{last}")(token)
    return sharding.activation(out, "batch", None)
