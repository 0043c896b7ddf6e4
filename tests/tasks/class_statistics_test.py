"""Statistics of classes are those of NumPy, and what few examples lack comes from the other classes."""

import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.tasks.class_statistics import class_statistics, permuted

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(60, 5)).astype(np.float32) + 2
LABELS = RNG.integers(0, 3, 60)


def of(label):
  return INPUTS[LABELS == label]


def test_they_are_those_of_each_class():
  found = class_statistics(jnp.asarray(INPUTS), jnp.asarray(LABELS), 3)
  for label in range(3):
    np.testing.assert_allclose(found.mean[label], of(label).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.covariance[label], np.cov(of(label).T, bias=True), rtol=1e-3, atol=1e-4)
    assert found.count[label] == len(of(label))


def test_a_class_borrows_what_it_lacks_from_all():
  shared = sum(len(of(label)) * np.cov(of(label).T, bias=True) for label in range(3)) / 60
  found = class_statistics(jnp.asarray(INPUTS), jnp.asarray(LABELS), 3, shared=7.0)
  for label in range(3):
    count = len(of(label))
    wanted = (count * np.cov(of(label).T, bias=True) + 7 * shared) / (count + 7)
    np.testing.assert_allclose(found.covariance[label], wanted, rtol=1e-3, atol=1e-4)


def test_all_classes_borrow_what_they_lack_from_a_covariance_alike_in_all_directions():
  found = class_statistics(jnp.asarray(INPUTS), jnp.asarray(LABELS), 3, shared=1e6, even=20.0)
  of_all = sum(len(of(label)) * np.cov(of(label).T, bias=True) for label in range(3))
  wanted = (of_all + 20 * 0.5 * INPUTS.var() * np.eye(5)) / 80
  for covariance in found.covariance:
    np.testing.assert_allclose(covariance, wanted, rtol=1e-3, atol=1e-4)
  one_each = class_statistics(jnp.asarray(INPUTS[:3]), jnp.arange(3), 3, shared=5.0, even=20.0)
  assert np.linalg.eigvalsh(one_each.covariance).min() > 0.1


@pytest.mark.parametrize("own", [0.0, 7.0])
def test_a_class_without_examples_and_one_with_a_single_one_are_numbers(own):
  inputs, labels = jnp.asarray(INPUTS[:8]), jnp.asarray([0, 0, 0, 0, 0, 0, 0, 2])
  found = class_statistics(inputs, labels, 4, own)
  assert all(np.isfinite(x).all() for x in found)
  np.testing.assert_allclose(found.mean[2], INPUTS[7], rtol=1e-5)
  np.testing.assert_allclose(found.covariance[1], found.covariance[3])
  assert (np.diagonal(found.covariance[2]) > 1e-3).all() == bool(own)


def test_classes_may_be_given_in_another_order():
  order = np.array([2, 0, 1])
  relabelled = np.argsort(order)[LABELS]
  found = permuted(class_statistics(jnp.asarray(INPUTS), jnp.asarray(LABELS), 3), jnp.asarray(order))
  wanted = class_statistics(jnp.asarray(INPUTS), jnp.asarray(relabelled), 3)
  for a, b in zip(found, wanted):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
