"""What a network of one hidden layer, changed along the directions of a data set, does on labelled examples of it.

A change of the first layer is known by its coordinates along the directions, so
that an example counts by its products with these and with the start's weights
alone: what it costs does not depend on the number of pixels.

Examples are the last axis of all arrays, as there are many of them: what lies last in
memory is what a processor works on side by side. With units last, of which there
may be ten, a training step took twice as long.
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

# Of Newton steps, in units of what they are added to: second moments of what goes into a layer, and the curvature by
# what comes out of it; that of a unit's own share is damped as its bias is. With a third of them, half of a step
# overshoots; as they are, it never did.
_INPUT_DAMPING, _OUTPUT_DAMPING = 0.1, 1.0
_LEAST_CURVATURE = 1e-4
_BENT = 16  # examples of a class that curvature is reckoned from, at most; slopes are of all


class Seen(NamedTuple):
  """Examples as a start and the directions see them; of one data set."""

  along: Float[Array, "direction class example"]  # products with the directions
  products: Float[Array, "unit class example"]  # with the start's weights
  rest: Float[Array, "unit class example"]  # with what of these lies outside of the directions
  share: Float[Array, "class"]  # how much each class counts
  inverse: Float[Array, "input input"]  # of the damped second moments of those products with the directions, and of 1


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
  step: Graph  # by which the loss would fall, see `_newton`


def seen_by(told: Known, start: Layers) -> Seen:
  """The examples that are told of."""
  along = jnp.moveaxis(told.along, 2, 0)
  weight = (told.share / along.shape[2])[None, :, None]
  inverse = jnp.linalg.inv(_damped(_moments(_with_one(along), weight)))
  both = jnp.concatenate([start.incoming, outside(told.discriminants, start.incoming)], axis=1)
  products, rest = jnp.split(jnp.einsum("pu,cep->uce", both, told.examples), 2)
  return Seen(along, products, rest, told.share, inverse)


def respond(seen: Seen, start: Layers, change: Graph) -> Response:
  """What the network after `change` does."""
  own, bias = change.unit[:, 0], start.bias + change.unit[:, 1]
  incoming = seen.products + jnp.einsum("du,dce->uce", coordinates_of(change), seen.along)
  incoming = incoming + own[:, None, None] * seen.rest + bias[:, None, None]
  outgoing, output_bias = start.outgoing + change.edge[:, :, -1], start.output_bias + change.output
  hidden, fires = jax.nn.relu(incoming), (incoming > 0).astype(incoming.dtype)
  logits = jnp.einsum("uo,uce->oce", outgoing, hidden) + output_bias[:, None, None]
  log_probability = jax.nn.log_softmax(logits, axis=0)
  probability = jnp.exp(log_probability)
  classes, count = logits.shape[1:]
  right = jnp.eye(classes)[:, :, None]
  weight = seen.share[None, :, None] / count
  residual = weight * (probability - right)
  blame = fires * jnp.einsum("uo,oce->uce", outgoing, residual)
  slope = graph_of(
    jnp.einsum("dce,uce->du", seen.along, blame),
    jnp.einsum("uce,oce->uo", hidden, residual),
    jnp.sum(blame * seen.rest, axis=(1, 2)),
    jnp.sum(blame, axis=(1, 2)),
    jnp.sum(residual, axis=(1, 2)),
  )
  rest, *some = (x[:, :, :_BENT] for x in (seen.rest, hidden, fires, probability))
  step = _newton(slope, seen.inverse, rest, *some, outgoing=outgoing, weight=weight * count / min(count, _BENT))
  return Response(
    mean=jnp.mean(incoming, axis=2),
    deviation=jnp.sqrt(jnp.var(incoming, axis=2) + 1e-6),
    firing=jnp.mean(fires, axis=2),
    activity=jnp.mean(hidden, axis=2),
    blame=jnp.sum(blame, axis=2),
    logits=jnp.mean(logits, axis=2),
    spread=jnp.sqrt(jnp.var(logits, axis=2) + 1e-6),
    probability=jnp.mean(probability, axis=2),
    loss=-jnp.mean(jnp.sum(right * log_probability, axis=0), axis=1),
    # The right class is left out of the maximum: reckoned twice, its logit may be rounded apart from itself.
    wrong=jnp.mean(jnp.sum(right * logits, axis=0) < jnp.max(jnp.where(right > 0, -jnp.inf, logits), axis=0), axis=1),
    slope=slope,
    step=jax.tree.map(jax.lax.stop_gradient, step),
  )


def _newton(slope: Graph, inverse, rest, hidden, fires, probability, outgoing, weight) -> Graph:
  """Against the slope by the curvature, each layer's as a product of two: of what goes in, and of what comes out.

  That is the Gauss-Newton matrix of the loss with Kronecker's product in place of
  the mean of products (Martens & Grosse 2015), for the coordinates along
  directions with the bias, and for the outgoing weights with the output bias. A
  unit's own share has a curvature for itself.
  """
  units, classes = outgoing.shape
  likely = jnp.sqrt(weight * probability)[None]
  # Centred before they are multiplied, so that of confident networks more is left than rounding.
  centred = outgoing[:, :, None, None] - jnp.einsum("uo,oce->uce", outgoing, probability)[:, None]
  of_units = likely * fires[:, None] * centred
  of_outputs = likely * (jnp.eye(classes)[:, :, None, None] - probability[:, None])
  by_unit, by_output = _products(of_units), _products(of_outputs)
  by_rest = jnp.einsum("uoce,uce->u", of_units**2, rest**2)

  incoming = jnp.concatenate([coordinates_of(slope), slope.unit[None, :, 1]])
  incoming = inverse @ jnp.linalg.solve(_damped_output(by_unit), incoming.T).T
  out = jnp.concatenate([slope.edge[:, :, -1], slope.output[None]])
  out = jnp.linalg.solve(_damped_output(by_output), out.T).T
  out = jnp.linalg.solve(_damped(_moments(_with_one(hidden), weight)), out)
  own = slope.unit[:, 0] / (by_rest + _OUTPUT_DAMPING * (jnp.trace(by_unit) / units + _LEAST_CURVATURE))
  return jax.tree.map(jnp.negative, graph_of(incoming[:-1], out[:-1], own, incoming[-1], out[-1]))


def _products(rows: Float[Array, "row output class example"]) -> Float[Array, "row row"]:
  flat = rows.reshape(len(rows), -1)
  return flat @ flat.T


def _with_one(inputs: Float[Array, "input class example"]) -> Float[Array, "input_and_one class example"]:
  return jnp.concatenate([inputs, jnp.ones_like(inputs[:1])])


def _moments(inputs: Float[Array, "input class example"], weight) -> Float[Array, "input input"]:
  return jnp.einsum("ice,jce->ij", weight * inputs, inputs)


def _damped(moments: Float[Array, "input input"]) -> Float[Array, "input input"]:
  return moments + _INPUT_DAMPING * jnp.trace(moments) / len(moments) * jnp.eye(len(moments))


def _damped_output(curvature: Float[Array, "output output"]) -> Float[Array, "output output"]:
  size = jnp.trace(curvature) / len(curvature) + _LEAST_CURVATURE
  return curvature + _OUTPUT_DAMPING * size * jnp.eye(len(curvature))
