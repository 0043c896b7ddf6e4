"""The denoising loss: parity with the public release, and its properties; the divergence of outputs."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import pseudo_huber, rel_entr, softmax
from sklearn.metrics import log_loss

from g_pt.diffusion.objective import (
  PREDICTIONS,
  denoising_loss,
  divergence,
  error_difference,
  loss_difference,
  random_steps,
  x0_of_noise,
)
from g_pt.diffusion.schedule import make_schedule, q_sample

GOLDEN = dict(np.load(pathlib.Path(__file__).parents[1] / "golden" / "diffusion.npz"))
LINEAR = make_schedule("linear")
STEPS = jnp.array([0, 40, 300, 700, 999])


def toy(x, timestep):
  return jnp.tanh(x @ GOLDEN["toy/W"]) * 0.5 + 0.3 * jnp.cos(timestep / 1000.0)[:, None]


def examples(size=7):
  keys = jax.random.split(jax.random.key(0))
  return tuple(jax.random.normal(key, (len(STEPS), size)) for key in keys)


def test_loss_agrees_with_the_release():
  x0, noise = jnp.asarray(GOLDEN["q_sample/x0"]), jnp.asarray(GOLDEN["q_sample/noise"])
  steps = jnp.asarray(GOLDEN["training_losses/t"])
  loss = denoising_loss(toy, LINEAR, "x0", x0, steps, noise)[0]
  np.testing.assert_allclose(loss, GOLDEN["training_losses/loss"], rtol=1e-5)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_loss_is_zero_for_the_right_answer_alone(prediction):
  x0, noise = examples()
  right = x0 if prediction == "x0" else noise
  assert not np.any(denoising_loss(lambda xt, timestep: right, LINEAR, prediction, x0, STEPS, noise)[0])
  wrong = right.at[2].add(0.5)
  loss, output = denoising_loss(lambda xt, timestep: wrong, LINEAR, prediction, x0, STEPS, noise)
  np.testing.assert_array_equal(output, wrong)
  np.testing.assert_allclose(loss, [0.0, 0.0, 0.25, 0.0, 0.0], atol=1e-6)


def test_model_is_shown_the_noised_vector_and_its_timestep():
  x0, noise = examples()
  seen = []

  def model(xt, timestep):
    seen.append((xt, timestep))
    return xt

  denoising_loss(model, LINEAR, "x0", x0, STEPS, noise)
  np.testing.assert_array_equal(seen[0][0], q_sample(LINEAR, x0, STEPS, noise))
  np.testing.assert_array_equal(seen[0][1], np.float32(STEPS))


def test_x0_of_noise_undoes_q_sample():
  x0, noise = examples()
  x0_again = x0_of_noise(LINEAR, STEPS, q_sample(LINEAR, x0, STEPS, noise), noise)
  # 1 / sqrt(alpha_bar) is 157 at the last step, and multiplies the rounding.
  np.testing.assert_allclose(x0_again, x0, atol=1e-4)


def test_random_steps_cover_the_schedule_evenly():
  steps = np.asarray(random_steps(jax.random.key(3), make_schedule("linear", 5), 5000))
  # 1000 each, with a standard deviation of 28
  np.testing.assert_allclose(np.bincount(steps, minlength=5), 1000, atol=150)
  assert len(np.bincount(steps)) == 5


def test_divergence_is_scipy_s():
  a, b = np.random.default_rng(0).normal(size=(2, 20, 4, 3)).astype(np.float32)
  expected = rel_entr(softmax(a, axis=1), softmax(b, axis=1)).sum(axis=1).mean(axis=0)
  np.testing.assert_allclose(divergence(jnp.asarray(a), jnp.asarray(b)), expected, rtol=1e-4)
  assert np.isfinite(divergence(jnp.asarray(1e4 * a), jnp.asarray(1e4 * b))).all()


def test_divergence_looks_at_probabilities_alone():
  a = jnp.asarray(np.random.default_rng(0).normal(size=(20, 4, 3)), jnp.float32)
  np.testing.assert_allclose(divergence(a, a + 3.0), 0.0, atol=1e-6)
  assert (divergence(a, -a) > 0.1).all()


def test_losses_are_compared_by_their_means():
  rng = np.random.default_rng(0)
  target, estimate = (jnp.asarray(rng.normal(size=(6, 3, 4)), jnp.float32) for _ in range(2))
  labels = jnp.asarray([0, 2, 1, 1, 0, 2])

  def mean_loss(logits):
    return np.array([log_loss(labels, softmax(logits[:, :, net], axis=1), labels=range(3)) for net in range(4)])

  apart = np.abs(mean_loss(np.float64(estimate)) - mean_loss(np.float64(target)))
  np.testing.assert_allclose(loss_difference(labels, target, estimate), pseudo_huber(0.2, apart), rtol=1e-3)
  np.testing.assert_allclose(loss_difference(labels, target, target + 2.0), 0.0, atol=1e-6)


@pytest.mark.parametrize("difference", [loss_difference, error_difference])
def test_what_an_estimate_is_better_counts_as_little_as_is_said(difference):
  """Of two networks, the one in all right and the other in all wrong, each network by its own share."""
  labels = jnp.asarray([0, 1, 2] * 4)
  right = jnp.repeat(3.0 * jnp.eye(3)[labels][:, :, None], 3, axis=2)
  below = jnp.asarray([0.0, 0.3, 1.0])
  worse, better = difference(labels, right, -right, below), difference(labels, -right, right, below)
  assert (worse > 1e-2).all()
  np.testing.assert_allclose(better, below * worse, rtol=1e-5, atol=1e-7)
  np.testing.assert_array_equal(difference(labels, -right, right), difference(labels, -right, right, jnp.ones(3)))


def test_errors_are_compared_by_their_shares():
  """Networks that are wrong on some of ten examples, clearly: by a step and by its soft form they are alike."""
  labels = jnp.asarray([0, 1] * 5)
  right = np.eye(2)[labels]

  def logits(*wrong):
    flipped = np.arange(10)[:, None] < np.asarray(wrong)[None]
    return jnp.asarray(np.where(flipped[:, None], 1 - right[:, :, None], right[:, :, None]), jnp.float32)

  found = error_difference(labels, logits(0, 5, 3), logits(4, 5, 2))
  np.testing.assert_allclose(found, pseudo_huber(0.1, np.array([0.4, 0.0, 0.1])), rtol=0.03, atol=1e-7)
  np.testing.assert_allclose(error_difference(labels, logits(3), 7 * logits(3)), 0.0, atol=1e-6)


def test_an_error_can_be_mended():
  """Networks of no confidence, too, have a slope of it that is finite."""
  logits = jnp.asarray(np.random.default_rng(0).normal(size=(12, 3, 1)), jnp.float32)
  labels = jnp.asarray([0, 1, 2] * 4)
  target = 5 * jnp.eye(3)[labels][:, :, None]
  slope = jax.grad(lambda x: error_difference(labels, target, x).sum())(logits)
  after = error_difference(labels, target, logits - 10 * slope)
  assert after < error_difference(labels, target, logits)
  assert np.isfinite(jax.grad(lambda x: error_difference(labels, target, x).sum())(jnp.zeros_like(logits))).all()
