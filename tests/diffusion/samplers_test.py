"""Samplers: parity with the public release, and what they do to known distributions."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.diffusion.samplers import SAMPLERS, ancestral, ddim, sample
from g_pt.diffusion.schedule import Schedule, make_schedule, respace

GOLDEN = dict(np.load(pathlib.Path(__file__).parents[1] / "golden" / "diffusion.npz"))
LINEAR = make_schedule("linear")


def toy(x, timestep):
  return jnp.tanh(x @ GOLDEN["toy/W"]) * 0.5 + 0.3 * jnp.cos(timestep / 1000.0)[:, None]


@pytest.mark.parametrize("steps", [1000, 50])
def test_ancestral_sampling_agrees_with_the_release(steps):
  noise = jnp.asarray(GOLDEN[f"ddpm{steps}/noise"])
  x0 = jax.jit(lambda: ancestral(toy, respace(LINEAR, steps), noise[0], lambda i: noise[1 + i]))()
  np.testing.assert_allclose(x0, GOLDEN[f"ddpm{steps}/x"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("steps", [1000, 50])
def test_ddim_agrees_with_the_release(steps):
  noise = jnp.asarray(GOLDEN[f"ddpm{steps}/noise"][0])
  x0 = jax.jit(lambda: ddim(toy, respace(LINEAR, steps), noise))()
  np.testing.assert_allclose(x0, GOLDEN[f"ddim{steps}/x"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_samplers_return_what_a_perfect_denoiser_knows(schedule, steps):
  x0, noise = jax.random.normal(jax.random.key(0), (2, 3, 5))
  respaced = respace(make_schedule(schedule, 60), steps)
  np.testing.assert_allclose(ddim(lambda x, t: x0, respaced, noise), x0, atol=1e-6)
  np.testing.assert_allclose(ancestral(lambda x, t: x0, respaced, noise, lambda i: noise * i), x0, atol=1e-6)


def test_one_step_of_either_is_the_denoiser_s_answer_at_the_noisiest_timestep():
  noise = jnp.asarray(GOLDEN["ddpm50/noise"][0])
  expected = toy(noise, jnp.full(noise.shape[0], 999.0))
  respaced = respace(LINEAR, 1)
  np.testing.assert_allclose(ddim(toy, respaced, noise), expected, atol=1e-6)
  np.testing.assert_allclose(ancestral(toy, respaced, noise, lambda i: 1e3 * noise), expected, atol=1e-6)


def gaussian(mean, deviation):
  """The exact denoiser of data from one normal distribution."""

  def denoise(x, timestep):
    alpha_bar = jnp.asarray(LINEAR.alpha_bar, x.dtype)[timestep.astype(int)][:, None]
    gain = jnp.sqrt(alpha_bar) * deviation**2 / (alpha_bar * deviation**2 + 1.0 - alpha_bar)
    return mean + gain * (x - jnp.sqrt(alpha_bar) * mean)

  return denoise


def test_ddim_carries_noise_to_the_same_quantile_of_the_data():
  noise = jnp.linspace(-2.0, 2.0, 11)[:, None]
  x0 = ddim(gaussian(0.7, 0.2), LINEAR, noise)
  np.testing.assert_allclose(x0, 0.7 + 0.2 * noise, atol=0.01)


def test_ddim_keeps_the_digits_of_the_noise_near_the_data():
  """Of 1 - alpha_bar float32 has three digits left there; the factors of each step have all of theirs."""
  nearest = Schedule(LINEAR.alpha_bar[:2], LINEAR.timestep[:2])
  x, x0 = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
  seen = []

  def denoise(xt, timestep):
    jax.debug.callback(lambda value: seen.append(np.asarray(value, np.float64)), xt, ordered=True)
    return jnp.asarray(x0)

  jax.block_until_ready(ddim(denoise, nearest, jnp.asarray(x)))
  jax.effects_barrier()
  signal, sigma = np.sqrt(nearest.alpha_bar), np.sqrt(1.0 - nearest.alpha_bar)
  noise = (x - signal[1] * x0) / sigma[1]  # in float64
  np.testing.assert_allclose(seen[1] - signal[0] * x0, sigma[0] * noise, rtol=3e-6, atol=3e-7)


def draw(sampler, denoise, steps, shape, seed=1, scale=1.0, stop=0.0):
  """Samples from normal noise times `scale`."""
  noise_key, step_key = jax.random.split(jax.random.key(seed))
  return sample(sampler, denoise, LINEAR, steps, scale * jax.random.normal(noise_key, shape), step_key, stop)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_have_the_spread_of_the_data(sampler):
  x0 = draw(sampler, gaussian(-0.4, 0.5), 1000, (4000, 1))
  assert float(jnp.mean(x0)) == pytest.approx(-0.4, abs=0.04)
  assert float(jnp.std(x0)) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_repeat_with_their_noise_alone(sampler):
  first, again, other = (draw(sampler, gaussian(0.0, 1.0), 5, (3, 2), seed) for seed in (1, 1, 2))
  np.testing.assert_array_equal(first, again)
  assert np.all(first != other)


def test_a_sampler_adds_noise_of_its_own_by_its_key_alone():
  noise = jax.random.normal(jax.random.key(0), (3, 2))
  for sampler, adds in (("ddim", False), ("ddpm", True)):
    one, two = (sample(sampler, gaussian(0.0, 1.0), LINEAR, 5, noise, jax.random.key(seed)) for seed in (1, 2))
    assert (np.abs(one - two).max() > 1e-3) == adds


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_less_noise_narrows_and_stopping_early_smooths(sampler):
  def spread(**how):
    return float(jnp.std(draw(sampler, gaussian(0.0, 0.5), 200, (2000, 1), **how)))

  assert spread(stop=0.3) < 0.95 * spread()
  if sampler == "ddim":  # deterministic after the first noise
    assert spread(scale=0.5) == pytest.approx(0.5 * spread(), rel=0.02)
    assert spread(scale=0.0) < 1e-6


def test_the_denoiser_is_told_the_original_timesteps_from_the_noisiest_on():
  told = []

  def denoise(x, timestep):
    jax.debug.callback(lambda t: told.append(float(t[0])), timestep, ordered=True)
    return x

  jax.block_until_ready(ddim(denoise, respace(LINEAR, 4), jnp.ones((2, 3))))
  jax.effects_barrier()
  assert told == [999.0, 666.0, 333.0, 0.0]


def test_unknown_samplers_are_named():
  with pytest.raises(ValueError, match="^sampler: unknown 'heun'; it is one of: ddim, ddpm"):
    sample("heun", toy, LINEAR, 5, jnp.zeros((2, 16)), jax.random.key(0))
