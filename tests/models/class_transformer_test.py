"""Units and classes may change places, in network and data set alike; any number of both is taken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.models.class_transformer import ClassTransformer, ClassTransformerConfig
from g_pt.tasks import graph
from g_pt.tasks.class_statistics import class_statistics, permuted
from g_pt.tasks.graph import Graph
from g_pt.tasks.known import known
from g_pt.tasks.layers import Layers
from g_pt.tasks.responses import _BENT

BATCH, UNITS, PIXELS = 2, 4, 9
CONFIG = ClassTransformerConfig(width=8, edge_width=8, depth=2, heads=2, frequencies=4)
SCALE = Graph(jnp.full((1, 1, 3), 0.5), jnp.full((1, 2), 0.3), jnp.full((1,), 0.2))
SCALARS = jnp.array([0.1, 0.8]), jnp.array([0.5, -0.2]), jnp.array([-1.0, 0.3]), jnp.array([0.0, 1.0])


def told_of(classes, seed=0):
  rng = np.random.default_rng(seed)
  labels = np.repeat(np.arange(classes), 30)
  inputs = rng.normal(size=(len(labels), PIXELS)) + 2 * rng.normal(size=(classes, PIXELS))[labels]
  statistics = class_statistics(jnp.asarray(inputs, jnp.float32), jnp.asarray(labels), classes)
  examples = np.float32(inputs.reshape(classes, 30, PIXELS)[:, :12])
  return statistics, known(statistics, examples)


def inputs_of(classes, seed=1):
  """(noised change, start) of a batch."""
  rng = np.random.default_rng(seed)
  shapes = (PIXELS, UNITS), (UNITS,), (UNITS, classes), (classes,)
  start = Layers(*(jnp.asarray(rng.normal(size=(BATCH, *shape)) / 3, jnp.float32) for shape in shapes))
  numbers = jnp.asarray(rng.normal(size=(BATCH, graph.size(UNITS, classes))), jnp.float32)
  return jax.vmap(lambda row: graph.unflatten(row, UNITS, classes))(numbers), start


def with_guess(noised, start):
  """A guess of the change, and its error."""
  return noised, jax.tree.map(lambda x: x / 2, noised), jnp.array([0.4, 0.1]), start


@pytest.fixture(scope="module")
def model():
  """(classes, noised, start, told) -> output, by weights none of which is 0."""
  module = ClassTransformer(CONFIG, SCALE)
  weights = jax.jit(module.init)(jax.random.key(0), *with_guess(*inputs_of(3)), *SCALARS, told_of(3)[1])
  leaves, form = jax.tree.flatten(weights)
  rng = np.random.default_rng(2)
  weights = jax.tree.unflatten(form, [x + jnp.float32(0.2 * rng.normal(size=x.shape)) for x in leaves])
  return jax.jit(lambda noised, start, told: module.apply(weights, *with_guess(noised, start), *SCALARS, told))


def close(found, wanted):
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5), found, wanted)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_any_number_of_classes_is_taken(model, classes):
  noised, start = inputs_of(classes)
  found = model(noised, start, told_of(classes)[1])
  assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, noised)
  assert all(np.isfinite(x).all() for x in found)
  assert np.abs(found.edge).max() > 0.05


def test_hidden_units_may_change_places(model):
  (noised, start), (_, told) = inputs_of(3), told_of(3)
  order = np.array([2, 0, 3, 1])
  moved = Layers(start.incoming[:, :, order], start.bias[:, order], start.outgoing[:, order], start.output_bias)
  found = model(Graph(noised.edge[:, order], noised.unit[:, order], noised.output), moved, told)
  wanted = model(noised, start, told)
  close(found, Graph(wanted.edge[:, order], wanted.unit[:, order], wanted.output))


def test_classes_may_change_places(model):
  (noised, start), (statistics, told) = inputs_of(3), told_of(3)
  order = np.array([2, 0, 1])
  other = permuted(statistics, jnp.asarray(order))
  moved = Layers(start.incoming, start.bias, start.outgoing[:, :, order], start.output_bias[:, order])
  changed = Graph(noised.edge[:, :, order], noised.unit, noised.output[:, order])
  found = model(changed, moved, known(other, told.examples[order]))
  wanted = model(noised, start, told)
  close(found, Graph(wanted.edge[:, :, order], wanted.unit, wanted.output[:, order]))


def test_more_of_the_same_examples_are_the_same(model):
  """Curvature is of the first ones alone, so that there are enough of them in both."""
  (noised, start), (statistics, told) = inputs_of(3), told_of(3)
  once, twice = (known(statistics, np.tile(told.examples, (1, count * _BENT, 1))) for count in (1, 2))
  close(model(noised, start, twice), model(noised, start, once))


def test_what_it_is_told_counts(model):
  noised, start = inputs_of(3)
  found, other = (model(noised, start, told_of(3, seed)[1]) for seed in (0, 5))
  assert np.abs(found.edge - other.edge).max() > 0.01


def test_settings_are_checked():
  with pytest.raises(ValueError, match="width: 9 is not a multiple of the 2 heads"):
    ClassTransformerConfig(width=9, heads=2)


def test_untrained_it_gives_the_guess():
  module, (noised, start) = ClassTransformer(CONFIG, SCALE), inputs_of(3)
  inputs = *with_guess(noised, start), *SCALARS, told_of(3)[1]
  weights = jax.jit(module.init)(jax.random.key(0), *inputs)
  close(jax.jit(module.apply)(weights, *inputs), inputs[1])
