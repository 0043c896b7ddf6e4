"""Directions separate classes, changes along them come back exactly, and classes and units may change places."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from g_pt.tasks.class_statistics import class_statistics, permuted
from g_pt.tasks.discriminants import RIDGES, Along, along, change_of, discriminants, outside

PIXELS, CLASSES, UNITS = 12, 4, 3
RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(CLASSES), (30, 50, 40, 30))
MIXED = RNG.normal(size=(PIXELS, PIXELS))
INPUTS = np.float32(RNG.normal(size=(len(LABELS), PIXELS)) @ MIXED + 4 * RNG.normal(size=(CLASSES, PIXELS))[LABELS])
STATISTICS = class_statistics(jnp.asarray(INPUTS), jnp.asarray(LABELS), CLASSES)


@pytest.fixture(scope="module")
def found():
  return discriminants(STATISTICS)


def weights(seed):
  return jnp.asarray(np.random.default_rng(seed).normal(size=(PIXELS, UNITS)), jnp.float32)


def test_products_with_the_data_are_apart_but_that_those_of_a_ridge_add_up_to_nothing(found):
  """Along all mixes of directions their covariance is 1 or 0, so that coordinates mean as much for every data set."""
  assert found.directions.shape == (PIXELS, len(RIDGES) * CLASSES)
  covariance = np.cov((INPUTS @ np.asarray(found.directions)).T, bias=True)
  np.testing.assert_allclose(covariance[:CLASSES, CLASSES:], 0, atol=1e-3)
  sizes = np.linalg.eigvalsh(covariance)
  np.testing.assert_allclose(sizes, [0] * len(RIDGES) + [1] * (len(RIDGES) * (CLASSES - 1)), atol=1e-3)


def test_each_direction_is_the_nearest_to_its_own_class(found):
  """What lies along it rises most for the class, less the mean of all."""
  means = np.asarray(STATISTICS.mean) - INPUTS.mean(axis=0)
  assert (np.argmax(means @ np.asarray(found.directions[:, :CLASSES]), axis=0) == np.arange(CLASSES)).all()


def test_with_a_small_ridge_they_span_what_linear_discriminant_analysis_finds(found):
  analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=None).fit(INPUTS, LABELS)
  wanted, ours = analysis.scalings_[:, : CLASSES - 1], np.asarray(found.directions[:, :CLASSES])
  beside = wanted - ours @ np.linalg.lstsq(ours, wanted, rcond=None)[0]
  assert np.linalg.norm(beside) < 0.1 * np.linalg.norm(wanted)


def test_a_change_along_them_comes_back_exactly(found):
  start = weights(1)
  coordinates = found.coordinates @ weights(2)
  moved = Along(coordinates, jnp.asarray([0.3, -1.0, 0.0]))
  again = along(found, start, change_of(found, start, moved))
  np.testing.assert_allclose(again.coordinates, moved.coordinates, atol=1e-4)
  np.testing.assert_allclose(again.own, moved.own, atol=1e-4)


def test_what_is_left_of_a_change_is_the_least_that_outputs_can_miss(found):
  """No other change of that form is nearer, in outputs on the data."""
  start, change = weights(3), weights(4)
  best = along(found, start, change)
  centred = INPUTS - INPUTS.mean(axis=0)

  def missed(moved):
    return np.linalg.norm(centred @ np.asarray(change - change_of(found, start, moved)), axis=0)

  for seed in range(5):
    other = Along(best.coordinates + 0.1 * found.coordinates @ weights(seed + 10), best.own)
    assert (missed(other) > missed(best)).all()
    assert (missed(best._replace(own=best.own + 0.05)) > missed(best)).all()
  np.testing.assert_allclose(found.coordinates @ outside(found, start), 0, atol=1e-4)


def test_classes_in_another_order_are_directions_in_another_order(found):
  order = np.array([2, 0, 3, 1])
  other = discriminants(permuted(STATISTICS, jnp.asarray(order)))
  place = np.concatenate([order, CLASSES + order])
  np.testing.assert_allclose(other.directions, found.directions[:, place], atol=1e-4)
  np.testing.assert_allclose(other.coordinates, found.coordinates[place], rtol=1e-3, atol=1e-3)
