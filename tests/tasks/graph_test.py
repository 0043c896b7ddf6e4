"""Changes that a graph can say come back exactly, and a graph keeps the order of units and classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.tasks import graph
from g_pt.tasks.class_statistics import permuted
from g_pt.tasks.discriminants import discriminants
from g_pt.tasks.graph import Graph
from g_pt.tasks.layers import Layers
from tests.tasks.discriminants_test import CLASSES, PIXELS, STATISTICS

UNITS = 5
KNOWN = discriminants(STATISTICS)


def network(seed):
  rng = np.random.default_rng(seed)
  shapes = (PIXELS, UNITS), (UNITS,), (UNITS, CLASSES), (CLASSES,)
  return Layers(*(jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes))


def close(found, wanted, **how):
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **how), found, wanted)


@pytest.fixture(scope="module")
def change():
  """One that a graph can say: a graph's own, made into a network and back."""
  start = network(0)
  numbers = jnp.asarray(np.random.default_rng(1).normal(size=graph.size(UNITS, CLASSES)), jnp.float32)
  moved = graph.applied(KNOWN, start, graph.unflatten(numbers, UNITS, CLASSES))
  return start, moved, graph.change_between(KNOWN, start, moved)


def test_numbers_come_back(change):
  numbers = graph.flatten(change[2])
  assert numbers.shape == (graph.size(UNITS, CLASSES),) and graph.size(10, 10) == 330
  close(graph.unflatten(numbers, UNITS, CLASSES), change[2])


def test_a_change_that_a_graph_can_say_comes_back(change):
  start, moved, found = change
  close(graph.applied(KNOWN, start, found), moved, atol=1e-3)
  close(graph.change_between(KNOWN, start, graph.applied(KNOWN, start, found)), found, atol=1e-3)


def test_biases_and_outgoing_weights_are_kept_as_they_are():
  start, target = network(2), network(3)
  again = graph.applied(KNOWN, start, graph.change_between(KNOWN, start, target))
  for name in ("bias", "outgoing", "output_bias"):
    np.testing.assert_allclose(getattr(again, name), getattr(target, name), rtol=1e-5, atol=1e-6)


def test_units_and_classes_may_change_places():
  unit, order = np.array([3, 0, 4, 1, 2]), np.array([2, 0, 3, 1])
  known = discriminants(permuted(STATISTICS, jnp.asarray(order)))

  def moved(layers):
    outgoing = layers.outgoing[unit][:, order]
    return Layers(layers.incoming[:, unit], layers.bias[unit], outgoing, layers.output_bias[order])

  def expected(found):
    return Graph(found.edge[unit][:, order], found.unit[unit], found.output[order])

  start, target = network(4), network(5)
  close(graph.seen(known, moved(start)), expected(graph.seen(KNOWN, start)), rtol=1e-3, atol=1e-3)
  found = graph.change_between(known, moved(start), moved(target))
  close(found, expected(graph.change_between(KNOWN, start, target)), rtol=1e-3, atol=1e-3)
