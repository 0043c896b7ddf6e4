"""One token per hidden unit: a transformer that keeps the symmetry of the networks it writes.

A token holds everything that touches one hidden unit and no other: incoming
weights and bias, outgoing weights, of the noised and of the start network. A
last token holds what belongs to no hidden unit, such as the output bias. Units have
no positions, encoders and decoders are shared by the units of a layer, and a
weight between two hidden layers is an edge that carries messages and is
decoded from its two ends. Hence permuting the hidden units of the input
permutes those of the output, exactly.

Shape suffixes: B batch, T token, U unit, D width, H head, K width of a head, F features
of one unit, E channels of an edge (noised and start), R rank.
"""

from __future__ import annotations

import dataclasses
import math

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from g_pt import sharding
from g_pt.fields import Settings, limited
from g_pt.models.layers import Dense, attention, embedded, log_spaced_frequencies, normalise
from g_pt.parameters import ParameterSpec


@dataclasses.dataclass(frozen=True)
class NeuronTransformerConfig(Settings):
  """Sizes of the model."""

  width: int = limited(128, least=1)
  depth: int = limited(4, least=1)  # blocks
  heads: int = limited(4, least=1)
  mlp_ratio: int = limited(4, least=1)
  frequencies: int = limited(128, least=1)
  max_log2_frequency: float = limited(6.0, least=0)
  edge_rank: int = limited(32, least=1)  # of messages along, and of the decoder of, weights between hidden layers

  def check(self) -> None:
    if self.width % self.heads:
      raise ValueError(f"width: {self.width} is not a multiple of the {self.heads} heads")


class Layout:
  """Which parameter belongs to which token or edge; read off the spec's hidden layers.

  Raises ValueError where a parameter lies along three hidden layers or more.
  """

  def __init__(self, spec: ParameterSpec):
    self.spec = spec
    self.units = [layer.units for layer in spec.hidden_layers]
    axes = {name: [] for name in spec.names}
    for index, layer in enumerate(spec.hidden_layers):
      for name, axis in layer.axes:
        axes[name].append((index, axis))
    # [(name, axis)] by hidden layer; {(layer, layer): [(name, axis, axis)]}; names
    self.of_unit: list[list[tuple[str, int]]] = [[] for _ in self.units]
    self.of_edge: dict[tuple[int, int], list[tuple[str, int, int]]] = {}
    self.shared: list[str] = []
    for name, places in axes.items():
      if not places:
        self.shared.append(name)
      elif len(places) == 1:
        self.of_unit[places[0][0]].append((name, places[0][1]))
      elif len(places) == 2:
        (a, axis_a), (b, axis_b) = sorted(places)
        self.of_edge.setdefault((a, b), []).append((name, axis_a, axis_b))
      else:
        raise ValueError(f"{name} lies along {len(places)} hidden layers; at most two can be encoded")

  def split(self, theta: Float[Array, "parameter"]):
    """Flat vector -> features by hidden layer [U, F], by edge [U, U, E], and shared [F]."""
    layers = self.spec.layers(theta)
    units = [
      jnp.concatenate([jnp.moveaxis(layers[n], axis, 0).reshape(count, -1) for n, axis in members], axis=1)
      for count, members in zip(self.units, self.of_unit)
    ]
    edges = {
      (a, b): jnp.concatenate(
        [
          jnp.moveaxis(layers[n], (axis_a, axis_b), (0, 1)).reshape(self.units[a], self.units[b], -1)
          for n, axis_a, axis_b in members
        ],
        axis=2,
      )
      for (a, b), members in self.of_edge.items()
    }
    shared = jnp.concatenate([jnp.ravel(layers[n]) for n in self.shared]) if self.shared else jnp.zeros((0,))
    return units, edges, shared

  def join(self, units, edges, shared) -> Float[Array, "parameter"]:
    """The inverse of `split`."""
    layers = {}

    def take(features, name, axes):
      """Cuts one parameter off the features' last axis and puts its hidden axes back."""
      shape = self.spec.shape(name)
      rest = [n for i, n in enumerate(shape) if i not in axes]
      size = math.prod(rest)
      leading = features.shape[:-1]
      part = features[..., :size].reshape(*leading, *rest)
      layers[name] = jnp.moveaxis(part, tuple(range(len(axes))), axes)
      return features[..., size:]

    for features, members in zip(units, self.of_unit):
      for name, axis in members:
        features = take(features, name, (axis,))
    for pair, members in self.of_edge.items():
      features = edges[pair]
      for name, axis_a, axis_b in members:
        features = take(features, name, (axis_a, axis_b))
    for name in self.shared:
      shared = take(shared, name, ())
    return jnp.concatenate([jnp.ravel(layers[name]) for name in self.spec.names])


def _modulate(x_BxTxD, shift_BxD, scale_BxD):
  return x_BxTxD * (1 + scale_BxD[:, None]) + shift_BxD[:, None]


class Block(nn.Module):
  """A transformer block shifted, scaled and gated by the condition (adaLN-zero, Peebles & Xie 2023).

  Attention and MLP work side by side on one normalised input, which halves the
  element-wise work of two blocks in a row.
  """

  config: NeuronTransformerConfig

  @nn.compact
  def __call__(self, x_BxTxD, condition_BxD):
    c = self.config
    modulation = Dense(3 * c.width, kernel_init=nn.initializers.zeros, name="modulation")(condition_BxD)
    shift_BxD, scale_BxD, gate_BxD = jnp.split(modulation, 3, axis=1)
    y_BxTxD = _modulate(normalise(x_BxTxD), shift_BxD, scale_BxD)
    attended = attention(Dense(3 * c.width, name="qkv")(y_BxTxD), c.heads)
    hidden = nn.gelu(Dense(c.mlp_ratio * c.width, name="mlp_in")(y_BxTxD))
    out_BxTxD = Dense(c.width, use_bias=False, name="attention_out")(attended) + Dense(c.width, name="mlp_out")(hidden)
    return sharding.activation(x_BxTxD + gate_BxD[:, None] * out_BxTxD, "batch", None, None)


class Messages(nn.Module):
  """What arrives at both ends of the weights between two hidden layers, or between a layer and itself.

  m_j = sum_i W[i, j] phi(h_i), and back; W of the noised and the start network.
  """

  config: NeuronTransformerConfig

  @nn.compact
  def __call__(self, a_BxUxD, b_BxUxD, edge_BxUxUxE, condition_BxD):
    width, rank, channels = self.config.width, self.config.edge_rank, edge_BxUxUxE.shape[-1]
    gate = Dense(2 * width, kernel_init=nn.initializers.zeros, name="gate")(condition_BxD)
    gate_a, gate_b = jnp.split(gate[:, None], 2, axis=2)

    def features(x_BxUxD, name):
      return Dense(channels * rank, name=name)(normalise(x_BxUxD)).reshape(*x_BxUxD.shape[:2], channels, rank)

    to_b = jnp.einsum("bijc,bicr->bjr", edge_BxUxUxE, features(a_BxUxD, "from_a")) / math.sqrt(a_BxUxD.shape[1])
    to_a = jnp.einsum("bijc,bjcr->bir", edge_BxUxUxE, features(b_BxUxD, "from_b")) / math.sqrt(b_BxUxD.shape[1])
    return gate_a * Dense(width, name="to_a")(to_a), gate_b * Dense(width, name="to_b")(to_b)


class EdgeDecoder(nn.Module):
  """A weight between two hidden units from both: bilinear form, plus its own entries, gated."""

  config: NeuronTransformerConfig

  @nn.compact
  def __call__(self, a_BxUxD, b_BxUxD, edge_BxUxUxE, condition_BxD):
    rank, channels = self.config.edge_rank, edge_BxUxUxE.shape[-1]
    out, zeros = channels // 2, nn.initializers.zeros

    def bilinear(name, channels):
      a = Dense(channels * rank, name=f"{name}_a")(a_BxUxD).reshape(*a_BxUxD.shape[:2], channels, rank)
      b = Dense(channels * rank, kernel_init=zeros, name=f"{name}_b")(b_BxUxD)
      return jnp.einsum("bicr,bjcr->bijc", a, b.reshape(*b_BxUxD.shape[:2], channels, rank)) / math.sqrt(rank)

    own = Dense(channels * out, kernel_init=zeros, name="own")(condition_BxD).reshape(-1, channels, out)
    mix = self.param("mix", nn.initializers.lecun_normal(), (channels, out))
    mixed = jnp.einsum("bijc,bco->bijo", edge_BxUxUxE, own)
    return bilinear("form", out) + mixed + (edge_BxUxUxE * bilinear("gate", channels)) @ mix


class NeuronTransformer(nn.Module):
  """(noised, start, timestep, start metric, prompted metric) -> x0, for a batch of examples.

  Vectors are in the diffusion's units, the timestep in [0, 1], metrics on the
  task's `coordinate` scale. With `residual` the output adds to `start`.
  """

  spec: ParameterSpec
  config: NeuronTransformerConfig
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
    c, layout, zeros = self.config, Layout(self.spec), nn.initializers.zeros
    frequencies = log_spaced_frequencies(c.frequencies, c.max_log2_frequency)
    condition = embedded(c.width, frequencies, timestep, start_metric, prompted_metric)
    both = (jax.vmap(layout.split)(noised), jax.vmap(layout.split)(start))
    units, edges, shared = jax.tree.map(lambda n, s: jnp.concatenate([n, s], axis=-1), *both)
    tokens = [Dense(c.width, name=f"encode_{i}")(features) for i, features in enumerate(units)]
    if layout.shared:
      tokens.append(Dense(c.width, name="encode_shared")(shared)[:, None])
    ends = np.cumsum(layout.units)[: len(tokens) - 1]

    for block in range(c.depth):
      for (a, b), edge in edges.items():
        to_a, to_b = Messages(c, name=f"messages_{block}_{a}_{b}")(tokens[a], tokens[b], edge, condition)
        # One after the other: the two ends may be one layer.
        tokens[a] = tokens[a] + to_a
        tokens[b] = tokens[b] + to_b
      x_BxTxD = Block(c, name=f"block_{block}")(jnp.concatenate(tokens, axis=1), condition)
      tokens = jnp.split(x_BxTxD, ends, axis=1)

    shift, scale = jnp.split(Dense(2 * c.width, kernel_init=zeros, name="modulation")(condition), 2, axis=1)
    tokens = [_modulate(normalise(token), shift, scale) for token in tokens]
    units = [
      Dense(features.shape[-1] // 2, kernel_init=zeros, name=f"decode_{i}")(token)
      for i, (token, features) in enumerate(zip(tokens, units))
    ]
    edges = {
      (a, b): EdgeDecoder(c, name=f"decode_{a}_{b}")(tokens[a], tokens[b], edge, condition)
      for (a, b), edge in edges.items()
    }
    if layout.shared:
      shared = Dense(shared.shape[-1] // 2, kernel_init=zeros, name="decode_shared")(tokens[-1][:, 0])
    out = jax.vmap(layout.join)(units, edges, shared)
    return start + out if self.residual else out
