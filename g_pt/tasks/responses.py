"""What a network of one hidden layer, changed along the directions of a data set, does on labelled examples of it.

A change of the first layer is known by its coordinates along the directions, so
that an example counts by its products with these and with the start's weights
alone: what it costs does not depend on the number of pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from g_pt.tasks.discriminants import outside
from g_pt.tasks.graph import Graph, coordinates_of, graph_of
from g_pt.tasks.known import Known
from g_pt.tasks.layers import Layers

_DAMPING = 0.01


class Seen(NamedTuple):
  """Examples as a start and the directions see them; of one data set."""

  along: Float[Array, "class example direction"]  # products with the directions
  products: Float[Array, "class example unit"]  # with the start's weights
  rest: Float[Array, "class example unit"]  # with what of these lies outside of the directions
  share: Float[Array, "class"]  # how much each class counts


class Response(NamedTuple):
  """Of one network, on the examples of each class; losses in nats, classes weigh by their share."""

  mean: Float[Array, "unit class"]  # of pre-activations
  deviation: Float[Array, "unit class"]
  firing: Float[Array, "unit class"]  # share of examples on which a unit is above 0
  activity: Float[Array, "unit class"]  # mean output of a unit
  blame: Float[Array, "unit class"]  # slope of the loss by a unit's bias, of these examples
  logits: Float[Array, "output class"]  # means
  spread: Float[Array, "output class"]  # deviations of logits
  probability: Float[Array, "output class"]  # means
  loss: Float[Array, "class"]
  wrong: Float[Array, "class"]  # share of examples
  slope: Graph  # of the loss by each number of the change
  step: Graph  # by which the loss would fall, see `_step`


def seen_by(told: Known, start: Layers) -> Seen:
  """The examples that are told of."""
  rest = outside(told.discriminants, start.incoming)
  return Seen(told.along, told.examples @ start.incoming, told.examples @ rest, told.share)


def respond(seen: Seen, start: Layers, change: Graph) -> Response:
  """What the network after `change` does."""
  coordinates = coordinates_of(change)
  incoming = seen.products + seen.along @ coordinates + change.unit[None, None, :, 0] * seen.rest
  incoming = incoming + (start.bias + change.unit[:, 1])[None, None]
  outgoing = start.outgoing + change.edge[:, :, -1]
  hidden, fires = jax.nn.relu(incoming), (incoming > 0).astype(incoming.dtype)
  logits = hidden @ outgoing + (start.output_bias + change.output)[None, None]
  log_probability = jax.nn.log_softmax(logits)
  probability = jnp.exp(log_probability)
  classes, count = logits.shape[:2]
  right = jnp.eye(classes)[:, None]
  weight = seen.share[:, None, None] / count
  residual = weight * (probability - right)
  blame = fires * (residual @ outgoing.T)
  slope = graph_of(
    jnp.einsum("ced,ceu->du", seen.along, blame),
    jnp.einsum("ceu,ceo->uo", hidden, residual),
    jnp.sum(blame * seen.rest, axis=(0, 1)),
    jnp.sum(blame, axis=(0, 1)),
    jnp.sum(residual, axis=(0, 1)),
  )
  bend = weight * probability * (1 - probability)
  step = _step(slope, seen.rest, hidden, fires * (bend @ (outgoing**2).T), weight)

  def mean(x):
    return jnp.mean(x, axis=1).T

  return Response(
    mean=mean(incoming),
    deviation=jnp.sqrt(jnp.var(incoming, axis=1).T + 1e-6),
    firing=mean(fires),
    activity=mean(hidden),
    blame=jnp.sum(blame, axis=1).T,
    logits=mean(logits),
    spread=jnp.sqrt(jnp.var(logits, axis=1).T + 1e-6),
    probability=mean(probability),
    loss=-jnp.mean(jnp.sum(right * log_probability, axis=2), axis=1),
    wrong=1 - jnp.mean(jnp.argmax(logits, axis=2) == jnp.arange(classes)[:, None], axis=1),
    slope=slope,
    step=jax.tree.map(jax.lax.stop_gradient, step),
  )


def _step(slope: Graph, rest, hidden, sharp, weight) -> Graph:
  """Against the slope, as far as a parabola goes down: in each unit's incoming weights, and in all outgoing ones.

  Along directions products with the data are alike, so that one number, how sharply
  the loss bends with a unit's pre-activation, serves all of them. Of the outgoing
  weights and the output bias the loss is convex, and bends at most half as much as
  its inputs' second moments, whatever the weights are (Boehning 1992).
  """
  by_unit = jnp.sum(sharp, axis=(0, 1)) + _DAMPING
  by_rest = jnp.sum(sharp * rest**2, axis=(0, 1)) + _DAMPING
  inputs = jnp.concatenate([hidden, jnp.ones_like(hidden[:, :, :1])], axis=2)
  moments = jnp.einsum("ceu,cev->uv", weight * inputs, inputs)
  damped = moments + _DAMPING * (1 + jnp.trace(moments) / len(moments)) * jnp.eye(len(moments))
  outgoing = 2 * jnp.linalg.solve(damped, jnp.concatenate([slope.edge[:, :, -1], slope.output[None]]))
  edge = jnp.concatenate([slope.edge[:, :, :-1] / by_unit[:, None, None], outgoing[:-1, :, None]], axis=2)
  unit = jnp.stack([slope.unit[:, 0] / by_rest, slope.unit[:, 1] / by_unit], axis=1)
  return jax.tree.map(jnp.negative, Graph(edge, unit, outgoing[-1]))
