"""What is told of a data set follows from its images, keeps the order of classes, and can be told by few."""

import jax
import jax.numpy as jnp
import numpy as np

from g_pt.tasks import known

CLASSES, PIXELS = 4, 9
RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(CLASSES), 20)
INPUTS = np.float32(RNG.normal(size=(80, PIXELS)) + 2 * RNG.normal(size=(CLASSES, PIXELS))[LABELS])
TOLD = known.known_of(INPUTS, LABELS, CLASSES, 12)


def close(found, wanted):
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), found, wanted)


def test_examples_are_of_their_class_and_no_image_is_there_twice():
  assert TOLD.examples.shape == (CLASSES, 12, PIXELS)
  for label in range(CLASSES):
    rows = {tuple(row) for row in np.asarray(TOLD.examples[label]).tolist()}
    assert len(rows) == 12 and rows <= {tuple(row) for row in INPUTS[LABELS == label].tolist()}
  np.testing.assert_allclose(TOLD.along, TOLD.examples @ TOLD.discriminants.directions, rtol=1e-4, atol=1e-4)


def test_of_rare_classes_images_are_there_several_times():
  few = np.concatenate([np.arange(79), [79]])[LABELS < 3].tolist() + [79]
  told = known.known_of(INPUTS[few], LABELS[few], CLASSES, 12)
  np.testing.assert_allclose(told.examples[3], np.broadcast_to(INPUTS[79], (12, PIXELS)))
  np.testing.assert_allclose(told.share, np.array([20, 20, 20, 1]) / 61, rtol=1e-5)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(told))


def test_one_image_of_a_class_is_enough():
  told = known.known_of(INPUTS[::20], LABELS[::20], CLASSES, 5)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(told))
  means = np.asarray(told.examples[:, 0] @ told.discriminants.directions[:, :CLASSES])
  assert (means.argmax(axis=1) == np.arange(CLASSES)).all()


def test_classes_in_another_order_are_told_in_that_order():
  order = np.array([2, 0, 3, 1])
  statistics = known.class_statistics(INPUTS, np.argsort(order)[LABELS], CLASSES, 10.0, 30.0)
  wanted = known.known(statistics, TOLD.examples[order])
  found = known.permuted(TOLD, order)
  close(found._replace(discriminants=None), wanted._replace(discriminants=None))
  close(found.discriminants[:2], wanted.discriminants[:2])
  assert np.abs(found.relation - TOLD.relation).max() > 0.1


def test_some_examples_are_others_each_time_and_go_with_their_products():
  first, second = (known.some_examples(TOLD, 5, jax.random.key(seed)) for seed in (0, 1))
  assert first.examples.shape == (CLASSES, 5, PIXELS) and np.abs(first.examples - second.examples).max() > 0
  np.testing.assert_allclose(first.along, first.examples @ TOLD.discriminants.directions, rtol=1e-4, atol=1e-4)


def test_nothing_known_has_the_shapes_of_what_is_known():
  told = known.known_of(INPUTS, LABELS, CLASSES, 1)
  assert jax.tree.map(jnp.shape, known.nothing_known(PIXELS, CLASSES)) == jax.tree.map(jnp.shape, told)


def test_few_are_as_many_of_each_class():
  few = known.few_of(LABELS, 3, np.random.default_rng(1))
  assert np.bincount(LABELS[few]).tolist() == [3] * CLASSES and len(set(few.tolist())) == 12
  assert len(known.few_of(LABELS, 50, np.random.default_rng(1))) == 80
