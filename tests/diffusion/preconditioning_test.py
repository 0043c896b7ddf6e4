"""A model that says nothing leaves the best linear guess; one that knows the rest completes it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.diffusion.objective import denoising_loss
from g_pt.diffusion.preconditioning import linear_error, preconditioned
from g_pt.diffusion.schedule import make_schedule, q_sample

SCHEDULE = make_schedule("linear", 100)
SIGMA_DATA = jnp.array([2.0, 0.5, 0.05])
BATCH = 20_000


@pytest.fixture(scope="module")
def gaussian():
  """(x0, noise): each coordinate with its own standard deviation."""
  x0, noise = jax.random.normal(jax.random.key(0), (2, BATCH, 3))
  return x0 * SIGMA_DATA[None], noise


def silent(xt, timestep):
  return jnp.zeros_like(xt)


@pytest.mark.parametrize("step", [0, 20, 60, 99])
def test_a_silent_model_s_error_is_the_posterior_s(gaussian, step):
  x0, noise = gaussian
  steps = jnp.full(BATCH, step)
  xt = q_sample(SCHEDULE, x0, steps, noise)
  guess = preconditioned(silent, SCHEDULE, SIGMA_DATA)(xt, jnp.full(BATCH, float(step)))
  signal = SCHEDULE.alpha_bar[step]
  posterior = 1 / (1 / np.square(SIGMA_DATA) + signal / (1 - signal))
  np.testing.assert_allclose(((guess - x0) ** 2).mean(axis=0), posterior, rtol=0.05)
  np.testing.assert_allclose(linear_error(SCHEDULE, SIGMA_DATA)[step], posterior.mean(), rtol=1e-3)
  # What is left for a model to say is of size 1 in every coordinate.
  loud = preconditioned(lambda xt, t: jnp.ones_like(xt), SCHEDULE, SIGMA_DATA)(xt, jnp.full(BATCH, float(step)))
  np.testing.assert_allclose((loud - guess)[0] ** 2, posterior, rtol=1e-2)


def test_the_linear_guess_beats_any_constant_and_a_copy(gaussian):
  x0, noise = gaussian
  steps = jax.random.randint(jax.random.key(1), (BATCH,), 0, 100)
  losses = [
    denoising_loss(model, SCHEDULE, "x0", x0, steps, noise)[0].mean()
    for model in (preconditioned(silent, SCHEDULE, SIGMA_DATA), silent, lambda xt, t: xt)
  ]
  assert losses[0] < 0.9 * min(losses[1:])


def test_the_guess_is_around_the_centre():
  centre, x0 = jax.random.normal(jax.random.key(2), (2, 5, 3))
  noise = jax.random.normal(jax.random.key(3), (5, 3))
  steps = jnp.full(5, 40)
  xt, around_zero = (q_sample(SCHEDULE, x, steps, noise) for x in (x0, x0 - centre))
  guess = preconditioned(silent, SCHEDULE, SIGMA_DATA, centre)(xt, jnp.full(5, 40.0))
  shifted = preconditioned(silent, SCHEDULE, SIGMA_DATA)(around_zero, jnp.full(5, 40.0))
  np.testing.assert_allclose(guess - centre, shifted, atol=1e-5)


def test_without_noise_the_guess_is_what_is_seen():
  schedule = make_schedule("linear", 1000)
  x0 = jax.random.normal(jax.random.key(4), (5, 3))
  guess = preconditioned(silent, schedule, jnp.ones(3))(x0, jnp.zeros(5))
  np.testing.assert_allclose(guess, x0, atol=1e-3)
