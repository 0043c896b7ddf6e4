"""A model of networks for a data set that it is told of: units and classes are tokens, and between them are edges.

It is told of a data set what `Known` holds, and nothing of what its pixels or classes
mean. Hidden units and classes have no positions: permuting either, in network and
data set alike, permutes the output. Every block looks at what the network that it is
about to write does on the examples, see g_pt.tasks.responses.

Shape suffixes: B batch, U unit, C class, P pixel, T token, W width, E width of an edge, R features of two classes.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from g_pt.fields import Settings, limited
from g_pt.models.layers import Dense, attention, embedded, log_spaced_frequencies, normalise
from g_pt.tasks import graph
from g_pt.tasks.graph import OF_EDGE, OF_UNIT, Graph
from g_pt.tasks.known import Known
from g_pt.tasks.layers import Layers
from g_pt.tasks.responses import Response, Seen, respond, seen_by


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


# What of `Seen` each network of a batch has of its own.
_OF_EACH = Seen._make((None, 0, 0, None, None))
_LONGEST = 2.0  # step, in units of `scale`


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
  """(noised change, start, timestep, metric, prompt, which metric, data set) -> the change x0, in units of `scale`.

  What it adds to a linear guess of x0 is counted in that guess's error; every block
  looks at the sum as it is so far.
  """

  config: ClassTransformerConfig
  scale: Graph  # of changes, by kind: arrays that are broadcast over units and classes

  @nn.compact
  def __call__(
    self,
    noised: Graph,  # with a leading batch, as all that follows but `by` and `told`
    guess: Graph,
    error: Float[Array, "batch"],
    start: Layers,
    timestep: Float[Array, "batch"],
    start_metric: Float[Array, "batch"],
    prompted_metric: Float[Array, "batch"],
    by: Float[Array, "metric"],  # 1 for the metric that both are, 0 for the others
    told: Known,
  ) -> Graph:
    c = self.config
    frequencies = log_spaced_frequencies(c.frequencies, c.max_log2_frequency)
    condition = embedded(c.width, frequencies, timestep, start_metric, prompted_metric, by)
    seen = jax.vmap(functools.partial(graph.seen, told.discriminants))(start)
    batch, units, classes, _ = noised.edge.shape
    many = jnp.broadcast_to(jnp.log1p(told.count) / 6, noised.output.shape)
    parts = Parts(
      Dense(c.edge_width, name="encode_edge")(jnp.concatenate([noised.edge, seen.edge], axis=3)),
      Dense(c.width, name="encode_unit")(jnp.concatenate([noised.unit, seen.unit], axis=2)),
      Dense(c.width, name="encode_output")(jnp.stack([noised.output, seen.output, many], axis=2)),
    )
    relation = jnp.broadcast_to(told.relation[None], (batch, classes, classes, told.relation.shape[2]))
    examples = jax.vmap(seen_by, in_axes=(None, 0), out_axes=_OF_EACH)(told, start)
    head, change, gone = self._head(), guess, jax.tree.map(jnp.zeros_like, guess)
    for block in range(c.depth):
      about, step = self._looked_at(examples, start, change)
      parts = Parts(
        parts.edge + Dense(c.edge_width, name=f"look_edge_{block}")(about.edge),
        parts.unit + Dense(c.width, name=f"look_unit_{block}")(about.unit),
        parts.output + Dense(c.width, name=f"look_output_{block}")(about.output),
      )
      between = jnp.concatenate([relation, about.relation], axis=3)
      parts = Block(c, name=f"block_{block}")(parts, between, condition)
      added, share = head(parts)
      gone = jax.tree.map(lambda so_far, share, step: so_far + share * step, gone, share, step)
      change = jax.tree.map(lambda x, *by: x + error.reshape(-1, *[1] * (x.ndim - 1)) * sum(by), guess, added, gone)
    return change

  def _head(self) -> Callable[[Parts], tuple[Graph, Graph]]:
    """From edges, units and outputs to what is added, and to the share of a step that is gone; alike in all blocks."""
    sizes = {"edge": OF_EDGE, "unit": OF_UNIT, "output": 1}
    layers = [Dense(2 * n, kernel_init=nn.initializers.zeros, name=f"decode_{kind}") for kind, n in sizes.items()]

    def head(parts: Parts) -> tuple[Graph, Graph]:
      edge, unit, output = (jnp.split(layer(normalise(part)), 2, axis=-1) for layer, part in zip(layers, parts))
      added, share = (Graph(e, u, o[:, :, 0]) for e, u, o in zip(edge, unit, output))
      return added, share

    return head

  def _looked_at(self, examples: Seen, start: Layers, change: Graph) -> tuple[Looks, Graph]:
    """What the networks after `change` do on the examples, and a step by which the loss on these would fall."""

    def one(seen: Seen, start: Layers, change: Graph) -> tuple[Looks, Graph]:
      return _looks(respond(seen, start, jax.tree.map(jnp.multiply, change, self.scale)), seen.share, self.scale)

    return jax.vmap(one, in_axes=(_OF_EACH, 0, 0))(examples, start, change)


class Looks(NamedTuple):
  """What networks do on the examples of a data set, as features."""

  edge: Float[Array, "... unit class look"]
  unit: Float[Array, "... unit look"]
  output: Float[Array, "... class look"]
  relation: Float[Array, "... class class look"]


def _looks(found: Response, share: Float[Array, "class"], scale: Graph) -> tuple[Looks, Graph]:
  """Factors bring slopes, that are small, to the size of the rest."""
  slope = jax.tree.map(lambda x, size: 10 * x * size, found.slope, scale)
  step = jax.tree.map(lambda x, size: jnp.clip(x / size, -_LONGEST, _LONGEST), found.step, scale)
  whole = [jnp.log(jnp.sum(share * x) + 0.02) for x in (found.loss, found.wrong)]
  output = [found.loss, found.wrong, jnp.diagonal(found.probability), *(jnp.full_like(share, x) for x in whole)]
  looks = Looks(
    jnp.concatenate(
      [
        jnp.stack([found.mean, found.deviation, found.firing, found.activity, 100 * found.blame], axis=2),
        slope.edge,
        step.edge,
      ],
      axis=2,
    ),
    jnp.concatenate([slope.unit, step.unit], axis=1),
    jnp.stack([*output, slope.output, step.output], axis=1),
    jnp.stack([found.logits, found.spread, found.probability, found.probability.T], axis=2),
  )
  return looks, step
