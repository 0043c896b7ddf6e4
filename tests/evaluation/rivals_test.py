"""Rivals learn from training images, are chosen by recorded ones, and are judged on final ones."""

import jax
import numpy as np
import pytest

from g_pt.evaluation import rivals
from g_pt.tasks.datasets import Examples, Images

CLASSES, PIXELS = 3, 4
RNG = np.random.default_rng(0)
MEANS = 2 * RNG.normal(size=(CLASSES, PIXELS))
ROOTS = RNG.normal(size=(CLASSES, PIXELS, PIXELS))


def examples(each, seed):
  rng = np.random.default_rng(seed)
  labels = np.repeat(np.arange(CLASSES, dtype=np.int32), each)
  noise = rng.normal(size=(len(labels), PIXELS))
  return Examples(np.float32(MEANS[labels] + np.einsum("epq,eq->ep", ROOTS[labels], noise)), labels)


@pytest.fixture(scope="module")
def data():
  return Images(examples(200, 1), examples(200, 2), examples(400, 3))


def bayes(part):
  """Loss and error of who knows the Gaussians."""
  covariance = ROOTS @ np.swapaxes(ROOTS, 1, 2)
  apart = np.asarray(part.images)[:, None] - MEANS[None]
  far = np.einsum("ecp,cpq,ecq->ec", apart, np.linalg.inv(covariance), apart)
  logits = -0.5 * far - 0.5 * np.linalg.slogdet(covariance)[1]
  return rivals._loss(logits, part), 100 * np.mean(logits.argmax(axis=1) != part.labels)


def test_quadratic_discriminants_are_near_what_is_possible_and_the_others_are_no_better(data):
  found, (loss, error) = rivals.closed_forms(data), bayes(data.final)
  quadratic = found["quadratic discriminants"]
  assert loss <= quadratic["test_loss"] < 1.2 * loss and quadratic["test_error"] < error + 3
  for name in ("linear discriminants", "logistic regression"):
    assert quadratic["test_loss"] < found[name]["test_loss"] < np.log(CLASSES)


def test_settings_are_chosen_by_recorded_images_alone(data):
  """Final images with other labels change no choice, only the numbers."""
  wrong = data._replace(final=data.final._replace(labels=(data.final.labels + 1) % CLASSES))
  found, other = rivals.closed_forms(data), rivals.closed_forms(wrong)
  for name in found:
    assert other[name]["test_loss"] > 2 * found[name]["test_loss"]
  # Recorded images on which sure answers are wrong ask for unsure ones.
  rng = np.random.default_rng(4)
  random = data._replace(recorded=data.recorded._replace(labels=rng.permutation(data.recorded.labels)))
  assert rivals.closed_forms(random)["logistic regression"]["test_loss"] > found["logistic regression"]["test_loss"]


def test_too_few_images_are_said(data):
  one_each = data._replace(train=Examples(data.train.images[::200], data.train.labels[::200]))
  found = rivals.closed_forms(one_each)
  assert found["quadratic discriminants"] == {"test_loss": None, "test_error": None}
  assert found["logistic regression"]["test_loss"] < np.log(CLASSES)


def test_gaussian_images_have_the_statistics_and_nothing_else(data):
  found = rivals.gaussian_images(data, 5000, jax.random.key(0))
  assert found.final is data.final and found.train.images.shape == (CLASSES * 5000, PIXELS)
  for label in range(CLASSES):
    drawn, given = (np.asarray(x.images)[np.asarray(x.labels) == label] for x in (found.train, data.train))
    np.testing.assert_allclose(drawn.mean(axis=0), given.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(given.T), atol=0.6)
