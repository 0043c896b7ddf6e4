"""A network of one hidden layer for a known data set, and its changes, as a graph: units, classes, and edges between.

A first layer of a weight a pixel becomes, for each unit, two numbers a class (along
the data set's directions) and one for what it started with. So networks for all data
sets of one size are graphs of one kind, whatever their pixels and classes mean.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from g_pt.tasks.discriminants import RIDGES, Along, Discriminants, along, change_of, outside
from g_pt.tasks.layers import Layers

OF_EDGE, OF_UNIT = len(RIDGES) + 1, 2


class Graph(NamedTuple):
  edge: Float[Array, "unit class of_edge"]  # along each direction of the class, and the weight to its output
  unit: Float[Array, "unit of_unit"]  # own share of the start, and bias
  output: Float[Array, "class"]  # output bias


def size(units: int, classes: int) -> int:
  """Numbers of a graph."""
  return units * classes * OF_EDGE + units * OF_UNIT + classes


def flatten(graph: Graph) -> Float[Array, "number"]:
  """Edges, units, classes."""
  return jnp.concatenate([jnp.ravel(part) for part in graph])


def unflatten(numbers: Float[Array, "number"], units: int, classes: int) -> Graph:
  """The inverse of `flatten`."""
  edges = units * classes * OF_EDGE
  edge, unit, output = jnp.split(numbers, [edges, edges + units * OF_UNIT])
  return Graph(edge.reshape(units, classes, OF_EDGE), unit.reshape(units, OF_UNIT), output)


def change_between(known: Discriminants, start: Layers, target: Layers) -> Graph:
  """From one network to another; of the first layer what a graph can say."""
  moved = along(known, start.incoming, target.incoming - start.incoming)
  bias, output_bias = target.bias - start.bias, target.output_bias - start.output_bias
  return graph_of(moved.coordinates, target.outgoing - start.outgoing, moved.own, bias, output_bias)


def applied(known: Discriminants, start: Layers, change: Graph) -> Layers:
  """The start after a change."""
  moved = change_of(known, start.incoming, Along(coordinates_of(change), change.unit[:, 0]))
  return Layers(
    start.incoming + moved,
    start.bias + change.unit[:, 1],
    start.outgoing + change.edge[:, :, -1],
    start.output_bias + change.output,
  )


def seen(known: Discriminants, network: Layers) -> Graph:
  """A network as a model sees it: `own` is the deviation of a unit's products with the data, outside of directions."""
  deviation = jnp.linalg.norm(known.root.T @ outside(known, network.incoming), axis=0)
  return graph_of(
    known.coordinates @ network.incoming, network.outgoing, deviation, network.bias, network.output_bias
  )


def coordinates_of(change: Graph) -> Float[Array, "direction unit"]:
  """Of a change of the first layer, along the directions."""
  units, classes, _ = change.edge.shape
  return jnp.moveaxis(change.edge[:, :, :-1], (2, 1), (0, 1)).reshape(len(RIDGES) * classes, units)


def graph_of(
  coordinates: Float[Array, "direction unit"],
  outgoing: Float[Array, "unit class"],
  own: Float[Array, "unit"],
  bias: Float[Array, "unit"],
  output: Float[Array, "class"],
) -> Graph:
  """From its numbers by their meaning."""
  units, classes = outgoing.shape
  by_class = jnp.moveaxis(coordinates.reshape(len(RIDGES), classes, units), (2, 1), (0, 1))
  edge = jnp.concatenate([by_class, outgoing[:, :, None]], axis=2)
  return Graph(edge, jnp.stack([own, bias], axis=1), output)
