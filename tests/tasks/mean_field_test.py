"""What is worked out of Gaussian classes is what many examples of them show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.tasks import mean_field
from g_pt.tasks.class_statistics import ClassStatistics, permuted
from g_pt.tasks.mean_field import Layers

PIXELS, UNITS, CLASSES = 6, 5, 3
RNG = np.random.default_rng(0)


def normal(*shape):
  return jnp.asarray(RNG.normal(size=shape), jnp.float32)


FACTORS = normal(CLASSES, PIXELS, PIXELS)
STATISTICS = ClassStatistics(
  2 * normal(CLASSES, PIXELS), FACTORS @ jnp.swapaxes(FACTORS, 1, 2) / PIXELS, jnp.asarray([20.0, 30.0, 50.0])
)
NETWORK = Layers(normal(PIXELS, UNITS) / 2, normal(UNITS), normal(UNITS, CLASSES), normal(CLASSES))


@pytest.fixture(scope="module")
def examples():
  """[class, example, unit]: pre-activations of 200,000 examples of each class."""
  noise = RNG.normal(size=(CLASSES, 200_000, PIXELS)) / np.sqrt(PIXELS)
  inputs = np.asarray(STATISTICS.mean)[:, None] + np.einsum("cpq,ceq->cep", FACTORS, noise)
  return inputs @ np.asarray(NETWORK.incoming) + np.asarray(NETWORK.bias)


def test_pre_activations_and_outputs_are_those_of_examples(examples):
  found = mean_field.behaviour(NETWORK, STATISTICS)
  np.testing.assert_allclose(found.mean, examples.mean(axis=1).T, atol=0.02)
  np.testing.assert_allclose(found.deviation, examples.std(axis=1).T, rtol=0.01)
  np.testing.assert_allclose(found.firing, (examples > 0).mean(axis=1).T, atol=0.01)
  relu = np.maximum(examples, 0)
  np.testing.assert_allclose(found.activity, relu.mean(axis=1).T, atol=0.02)
  logits = relu @ np.asarray(NETWORK.outgoing) + np.asarray(NETWORK.output_bias)
  np.testing.assert_allclose(found.logits, logits.mean(axis=1).T, atol=0.05)


def test_the_loss_is_of_the_mean_outputs_and_falls_along_its_gradient():
  found = mean_field.behaviour(NETWORK, STATISTICS)
  own = -np.diagonal(found.log_probability) @ np.array([0.2, 0.3, 0.5])
  assert mean_field.loss(NETWORK, STATISTICS) == pytest.approx(own, rel=1e-5)
  stepped = jax.tree.map(lambda w, g: w - 1e-2 * g, NETWORK, mean_field.gradient(NETWORK, STATISTICS))
  assert mean_field.loss(stepped, STATISTICS) < own


def test_units_and_classes_may_change_places():
  unit, order = np.array([3, 0, 4, 1, 2]), np.array([2, 0, 1])
  moved = Layers(
    NETWORK.incoming[:, unit], NETWORK.bias[unit], NETWORK.outgoing[unit][:, order], NETWORK.output_bias[order]
  )
  found = mean_field.behaviour(moved, permuted(STATISTICS, jnp.asarray(order)))
  wanted = mean_field.behaviour(NETWORK, STATISTICS)
  np.testing.assert_allclose(found.activity, wanted.activity[unit][:, order], rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(found.logits, wanted.logits[order][:, order], rtol=1e-4, atol=1e-5)


def test_a_class_without_spread_is_a_number():
  still = STATISTICS._replace(covariance=jnp.zeros_like(STATISTICS.covariance))
  assert all(np.isfinite(x).all() for x in mean_field.behaviour(NETWORK, still))
  assert all(np.isfinite(x).all() for x in mean_field.gradient(NETWORK, still))
