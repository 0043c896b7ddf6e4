"""A model that says nothing leaves the best linear guess; one that knows the rest completes it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.diffusion.objective import ObjectiveConfig, denoising_loss
from g_pt.diffusion.preconditioning import preconditioned
from g_pt.diffusion.schedule import make_schedule, q_sample

SCHEDULE = make_schedule("linear", 100)
SPREAD = jnp.array([2.0, 0.5, 0.05])
BATCH = 20_000


@pytest.fixture(scope="module")
def gaussian():
  """(x0, noise): each coordinate with its own spread."""
  x0, noise = jax.random.normal(jax.random.key(0), (2, BATCH, 3))
  return x0 * SPREAD[None], noise


def silent(xt, timestep):
  return jnp.zeros_like(xt)


@pytest.mark.parametrize("step", [0, 20, 60, 99])
def test_a_silent_model_s_error_is_the_posterior_s(gaussian, step):
  x0, noise = gaussian
  steps = jnp.full(BATCH, step)
  xt = q_sample(SCHEDULE, x0, steps, noise)
  guess = preconditioned(silent, SCHEDULE, SPREAD)(xt, jnp.full(BATCH, float(step)))
  signal = SCHEDULE.alpha_bar[step]
  posterior = 1 / (1 / np.square(SPREAD) + signal / (1 - signal))
  np.testing.assert_allclose(((guess - x0) ** 2).mean(axis=0), posterior, rtol=0.05)
  # What is left for a model to say is of size 1 in every coordinate.
  loud = preconditioned(lambda xt, t: jnp.ones_like(xt), SCHEDULE, SPREAD)(xt, jnp.full(BATCH, float(step)))
  np.testing.assert_allclose((loud - guess)[0] ** 2, posterior, rtol=1e-2)


def test_the_linear_guess_beats_any_constant_and_a_copy(gaussian):
  x0, noise = gaussian
  steps = jax.random.randint(jax.random.key(1), (BATCH,), 0, 100)
  losses = [
    denoising_loss(model, SCHEDULE, ObjectiveConfig(), x0, steps, noise)[0].mean()
    for model in (preconditioned(silent, SCHEDULE, SPREAD), silent, lambda xt, t: xt)
  ]
  assert losses[0] < 0.9 * min(losses[1:])


def test_the_guess_is_around_the_centre():
  centre, x0 = jax.random.normal(jax.random.key(2), (2, 5, 3))
  noise = jax.random.normal(jax.random.key(3), (5, 3))
  steps = jnp.full(5, 40)
  guess = preconditioned(silent, SCHEDULE, SPREAD, centre)(q_sample(SCHEDULE, x0, steps, noise), jnp.full(5, 40.0))
  shifted = preconditioned(silent, SCHEDULE, SPREAD)(q_sample(SCHEDULE, x0 - centre, steps, noise), jnp.full(5, 40.0))
  np.testing.assert_allclose(guess - centre, shifted, atol=1e-5)


def test_without_noise_the_guess_is_what_is_seen():
  schedule = make_schedule("linear", 1000)
  x0 = jax.random.normal(jax.random.key(4), (5, 3))
  guess = preconditioned(silent, schedule, jnp.ones(3))(x0, jnp.zeros(5))
  np.testing.assert_allclose(guess, x0, atol=1e-3)
