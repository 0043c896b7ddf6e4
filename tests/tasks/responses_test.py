"""What is said of a network on examples is what its forward pass and automatic differentiation say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.tasks import graph
from g_pt.tasks.known import known
from g_pt.tasks.responses import _BENT, respond, seen_by
from tests.tasks.discriminants_test import CLASSES, PIXELS, STATISTICS
from tests.tasks.graph_test import KNOWN, UNITS, network

EXAMPLES = np.float32(np.random.default_rng(3).normal(size=(CLASSES, 20, PIXELS)))
SHARE = STATISTICS.count / STATISTICS.count.sum()
START = network(0)
NUMBERS = jnp.asarray(np.random.default_rng(1).normal(size=graph.size(UNITS, CLASSES)) / 4, jnp.float32)
CHANGE = graph.unflatten(NUMBERS, UNITS, CLASSES)


def forward(numbers):
  """(pre-activations [class, example, unit], logits [class, example, output]) of the network after the change."""
  moved = graph.applied(KNOWN, START, graph.unflatten(numbers, UNITS, CLASSES))
  incoming = EXAMPLES @ moved.incoming + moved.bias[None, None]
  return incoming, jax.nn.relu(incoming) @ moved.outgoing + moved.output_bias[None, None]


def loss(numbers):
  right = jnp.moveaxis(jax.nn.log_softmax(forward(numbers)[1]), 1, 0)
  return -jnp.mean(jnp.einsum("ecc,c->e", right, SHARE))


@pytest.fixture(scope="module")
def found():
  return respond(seen_by(known(STATISTICS, EXAMPLES), START), START, CHANGE)


def test_what_units_and_outputs_do_is_the_mean_over_examples(found):
  incoming, logits = map(np.asarray, forward(NUMBERS))
  np.testing.assert_allclose(found.mean, incoming.mean(axis=1).T, atol=1e-4)
  np.testing.assert_allclose(found.deviation, incoming.std(axis=1).T, atol=1e-3)
  np.testing.assert_allclose(found.firing, (incoming > 0).mean(axis=1).T, atol=1e-6)
  np.testing.assert_allclose(found.activity, np.maximum(incoming, 0).mean(axis=1).T, atol=1e-4)
  np.testing.assert_allclose(found.logits, logits.mean(axis=1).T, atol=1e-3)
  np.testing.assert_allclose(found.spread, logits.std(axis=1).T, atol=1e-3)
  np.testing.assert_allclose(found.probability, jax.nn.softmax(logits).mean(axis=1).T, atol=1e-4)
  wrong = (logits.argmax(axis=2) != np.arange(CLASSES)[:, None]).mean(axis=1)
  np.testing.assert_allclose(found.wrong, wrong, atol=1e-6)


def test_loss_and_slope_are_those_of_the_network(found):
  assert jnp.sum(SHARE * found.loss) == pytest.approx(float(loss(NUMBERS)), rel=1e-4)
  np.testing.assert_allclose(graph.flatten(found.slope), jax.grad(loss)(NUMBERS), atol=2e-4)


def test_blame_adds_up_to_the_slope_by_biases(found):
  np.testing.assert_allclose(found.blame.sum(axis=1), found.slope.unit[:, 1], atol=1e-5)


def curvature(hidden_layer):
  """Gauss-Newton matrix of the loss by what comes out of a layer, example by example: [class, example, out, out]."""
  moved = graph.applied(KNOWN, START, CHANGE)

  def logits(incoming):
    return jax.nn.relu(incoming) @ moved.outgoing + moved.output_bias

  def of_one(incoming):
    probability = jax.nn.softmax(logits(incoming))
    by_logits = jnp.diag(probability) - jnp.outer(probability, probability)
    slope = jax.jacobian(logits)(incoming)
    return slope.T @ by_logits @ slope if hidden_layer else by_logits

  return np.asarray(jax.vmap(jax.vmap(of_one))(forward(NUMBERS)[0]))


def mean(of_each):
  """Over examples and classes, which weigh by their share."""
  return np.tensordot(SHARE, of_each.mean(axis=1), 1)


def damped(matrix, factor, least=0.0):
  return matrix + factor * (np.trace(matrix) / len(matrix) + least) * np.eye(len(matrix))


@pytest.mark.parametrize("hidden_layer", [True, False])
def test_steps_are_newton_s_by_a_product_of_curvatures(found, hidden_layer):
  """Kronecker's product of the means, solved as one large system; what depends on a network is of some examples."""
  told, some = known(STATISTICS, EXAMPLES), slice(_BENT)
  inputs = np.asarray(told.along) if hidden_layer else np.maximum(forward(NUMBERS)[0], 0)[:, some]
  inputs = np.concatenate([inputs, np.ones_like(inputs[:, :, :1])], axis=2)
  moments = damped(mean(np.einsum("cei,cej->ceij", inputs, inputs)), 0.1)
  bend = damped(mean(curvature(hidden_layer)[:, some]), 1.0, 1e-4)

  def layer(change):
    if hidden_layer:
      return np.concatenate([graph.coordinates_of(change), change.unit[None, :, 1]])
    return np.concatenate([change.edge[:, :, -1], change.output[None]])

  expected = -np.linalg.solve(np.kron(moments, bend), layer(found.slope).ravel())
  np.testing.assert_allclose(layer(found.step).ravel(), expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


def moved_by(step, far, only):
  """Loss after a step, of the numbers that `only` says."""
  kept = jax.tree.map(lambda x, use: x * use, step, only)
  return float(loss(NUMBERS + far * graph.flatten(kept)))


def test_the_loss_falls_along_steps_of_incoming_of_outgoing_and_of_own_weights(found):
  edge, unit, output = (np.zeros_like(x) for x in found.step)
  before, outgoing, own = float(loss(NUMBERS)), edge.copy(), unit.copy()
  outgoing[:, :, -1], own[:, 0] = 1, 1
  assert moved_by(found.step, 0.5, graph.Graph(outgoing, unit, output + 1)) < before - 0.02
  assert moved_by(found.step, 0.5, graph.Graph(1 - outgoing, 1 - own, output)) < before - 0.02
  assert moved_by(found.step, 0.5, graph.Graph(edge, own, output)) < before
