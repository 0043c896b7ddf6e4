"""A model of networks for a data set that it is told of: units and classes are tokens, and between them are edges.

It is told of a data set what `Known` holds, and nothing of what its pixels or classes
mean. Hidden units and classes have no positions: permuting either, in network and
data set alike, permutes the output. Every block looks at what the network that it is
about to write does on the classes, taken for Gaussian, see g_pt.tasks.mean_field.

Shape suffixes: B batch, U unit, C class, P pixel, T token, W width, E width of an edge, R features of two classes.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from g_pt.fields import Settings, limited
from g_pt.models.layers import Dense, attention, embedded, log_spaced_frequencies, normalise
from g_pt.tasks import graph, mean_field
from g_pt.tasks.class_statistics import ClassStatistics
from g_pt.tasks.discriminants import RIDGES, Discriminants
from g_pt.tasks.graph import OF_EDGE, OF_UNIT, Graph
from g_pt.tasks.mean_field import Layers


@dataclasses.dataclass(frozen=True)
class ClassTransformerConfig(Settings):
  """Sizes of the model."""

  width: int = limited(64, least=1)  # of a token
  edge_width: int = limited(32, least=1)
  depth: int = limited(4, least=1)  # blocks
  heads: int = limited(4, least=1)
  mlp_ratio: int = limited(2, least=1)
  frequencies: int = limited(32, least=1)
  max_log2_frequency: float = limited(6.0, least=0)

  def check(self) -> None:
    if self.width % self.heads:
      raise ValueError(f"width: {self.width} is not a multiple of the {self.heads} heads")


class Known(NamedTuple):
  """What the model is told of a data set."""

  statistics: ClassStatistics
  discriminants: Discriminants
  relation: Float[Array, "class class relation"]  # of a direction's class, and of one that it meets


def known(statistics: ClassStatistics, discriminants: Discriminants) -> Known:
  """Adds what each class's directions show of the others: mean and deviation of their products, and the distance."""
  share = statistics.count / jnp.sum(statistics.count)
  centred = statistics.mean - (share[:, None] * statistics.mean).sum(axis=0)[None]
  columns, classes = discriminants.directions, statistics.mean.shape[0]
  means = columns.T @ centred.T  # [direction, class]
  spread = jnp.einsum("pd,cpq,qd->dc", columns, statistics.covariance, columns)
  features = [jnp.moveaxis(x.reshape(len(RIDGES), classes, classes), 0, 2) for x in (means, jnp.sqrt(spread + 1e-6))]
  seen = means[:classes]  # by the small ridge: differences in these are those of Mahalanobis
  apart = jnp.sqrt(jnp.mean((seen[:, :, None] - seen[:, None, :]) ** 2, axis=0) + 1e-6)
  return Known(statistics, discriminants, jnp.concatenate([*features, apart[:, :, None]], axis=2))


class Parts(NamedTuple):
  """What a block works on."""

  edge: Float[Array, "batch unit class edge_width"]
  unit: Float[Array, "batch unit width"]
  output: Float[Array, "batch class width"]


class Block(nn.Module):
  """Edges see their ends and each other, tokens see each other and their edges; all by the condition."""

  config: ClassTransformerConfig

  @nn.compact
  def __call__(self, parts: Parts, relation_BxCxCxR, condition_BxW) -> Parts:
    c, zeros = self.config, nn.initializers.zeros
    shift, scale, gate = self._modulation("edge", c.edge_width, condition_BxW)
    edge = normalise(parts.edge) * (1 + scale[:, None, None]) + shift[:, None, None]
    unit, output = (Dense(c.edge_width, name=f"from_{n}")(normalise(getattr(parts, n))) for n in ("unit", "output"))
    rank = max(1, c.edge_width // 4)
    weigh = Dense(rank, name="relation")(relation_BxCxCxR)
    sent = Dense(rank, name="send")(edge)
    # Of one unit: what the edges to other classes say, weighed by what is between the classes.
    met = jnp.einsum("bcdr,budr->bucr", weigh, sent) / edge.shape[2] ** 0.5
    mixed = jnp.concatenate([edge, met], axis=3)
    hidden = Dense(c.mlp_ratio * c.edge_width, name="edge_in")(mixed)
    ends = Dense(c.mlp_ratio * c.edge_width, use_bias=False, name="ends")(nn.gelu(unit[:, :, None] + output[:, None]))
    hidden = nn.gelu(hidden + ends)
    moved = parts.edge + gate[:, None, None] * Dense(c.edge_width, name="edge_out")(hidden)

    tokens = jnp.concatenate(
      [
        parts.unit + Dense(c.width, kernel_init=zeros, name="edges_to_unit")(normalise(moved).mean(axis=2)),
        parts.output + Dense(c.width, kernel_init=zeros, name="edges_to_output")(normalise(moved).mean(axis=1)),
      ],
      axis=1,
    )
    shift, scale, gate = self._modulation("token", c.width, condition_BxW)
    y = normalise(tokens) * (1 + scale[:, None]) + shift[:, None]
    attended = attention(Dense(3 * c.width, name="qkv")(y), c.heads)
    attended = Dense(c.width, use_bias=False, name="attention_out")(attended)
    through = Dense(c.width, name="mlp_out")(nn.gelu(Dense(c.mlp_ratio * c.width, name="mlp_in")(y)))
    tokens = tokens + gate[:, None] * (attended + through)
    unit, output = jnp.split(tokens, [parts.unit.shape[1]], axis=1)
    return Parts(moved, unit, output)

  def _modulation(self, name: str, width: int, condition):
    out = Dense(3 * width, kernel_init=nn.initializers.zeros, name=f"{name}_modulation")(condition)
    shift, scale, gate = jnp.split(out, 3, axis=1)
    return shift, scale, gate + 0.1  # so that what a block adds is not nothing at first


class ClassTransformer(nn.Module):
  """(noised change, start, timestep, start metric, prompted metric, data set) -> the change x0, in units of `scale`.

  What it adds to a linear guess of x0 is counted in that guess's error; every block
  looks at the sum as it is so far.
  """

  config: ClassTransformerConfig
  scale: Graph  # of changes, by kind: arrays that are broadcast over units and classes

  @nn.compact
  def __call__(
    self,
    noised: Graph,  # with a leading batch, as all that follows but `told`
    guess: Graph,
    error: Float[Array, "batch"],
    start: Layers,
    timestep: Float[Array, "batch"],
    start_metric: Float[Array, "batch"],
    prompted_metric: Float[Array, "batch"],
    told: Known,
  ) -> Graph:
    c = self.config
    frequencies = log_spaced_frequencies(c.frequencies, c.max_log2_frequency)
    condition = embedded(c.width, frequencies, timestep, start_metric, prompted_metric)
    seen = jax.vmap(functools.partial(graph.seen, told.discriminants))(start)
    batch, units, classes, _ = noised.edge.shape
    parts = Parts(
      Dense(c.edge_width, name="encode_edge")(jnp.concatenate([noised.edge, seen.edge], axis=3)),
      Dense(c.width, name="encode_unit")(jnp.concatenate([noised.unit, seen.unit], axis=2)),
      Dense(c.width, name="encode_output")(jnp.stack([noised.output, seen.output], axis=2)),
    )
    relation = jnp.broadcast_to(told.relation[None], (batch, classes, classes, told.relation.shape[2]))
    heads = self._heads()
    for block in range(c.depth):
      change = _estimate(heads, parts, guess, error)
      about = self._looked_at(start, change, told)
      parts = Parts(
        parts.edge + Dense(c.edge_width, name=f"look_edge_{block}")(about.edge),
        parts.unit + Dense(c.width, name=f"look_unit_{block}")(about.unit),
        parts.output + Dense(c.width, name=f"look_output_{block}")(about.output),
      )
      between = jnp.concatenate([relation, about.relation], axis=3)
      parts = Block(c, name=f"block_{block}")(parts, between, condition)
    return _estimate(heads, parts, guess, error)

  def _heads(self) -> list[Dense]:
    """From edges, units and outputs to the numbers of a graph; the same after every block."""
    sizes = {"edge": OF_EDGE, "unit": OF_UNIT, "output": 1}
    return [Dense(size, kernel_init=nn.initializers.zeros, name=f"decode_{name}") for name, size in sizes.items()]

  def _looked_at(self, start: Layers, change: Graph, told: Known) -> Looks:
    """What the networks after `change` do, and how the loss on Gaussian classes would change it."""

    def one(start: Layers, change: Graph) -> Looks:
      scaled = jax.tree.map(jnp.multiply, change, self.scale)

      def loss(moved: Graph) -> Float[Array, ""]:
        return mean_field.loss(graph.applied(told.discriminants, start, moved), told.statistics)

      found = mean_field.behaviour(graph.applied(told.discriminants, start, scaled), told.statistics)
      slope = jax.tree.map(jnp.multiply, jax.grad(loss)(scaled), self.scale)
      probability = jnp.exp(found.log_probability)
      edge = jnp.stack([found.mean, found.deviation, found.firing, found.activity], axis=2)
      output = jnp.stack([jnp.diagonal(found.log_probability), jnp.diagonal(probability), slope.output], axis=1)
      relation = jnp.stack([found.logits, probability, probability.T], axis=2)
      return Looks(jnp.concatenate([edge, 10 * slope.edge], axis=2), 10 * slope.unit, output, relation)

    return jax.vmap(one)(start, change)


def _estimate(heads: Sequence[Dense], parts: Parts, guess: Graph, error: Float[Array, "batch"]) -> Graph:
  edge, unit, output = (head(normalise(part)) for head, part in zip(heads, parts))
  added = Graph(edge, unit, output[:, :, 0])
  return jax.tree.map(lambda x, by: x + error.reshape(-1, *[1] * (by.ndim - 1)) * by, guess, added)


class Looks(NamedTuple):
  """What networks do on the classes of a data set, as features."""

  edge: Float[Array, "... unit class look"]
  unit: Float[Array, "... unit look"]
  output: Float[Array, "... class look"]
  relation: Float[Array, "... class class look"]
