"""Noise schedules: parity with the public release, and their properties."""

import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.diffusion.schedule import SCHEDULES, make_schedule, q_sample, respace

GOLDEN = dict(np.load(pathlib.Path(__file__).parents[1] / "golden" / "diffusion.npz"))


def test_linear_schedule_agrees_with_the_release():
  schedule = make_schedule("linear")
  signal, sigma = schedule.signal_and_sigma
  of_x0, of_xt = schedule.posterior_mean_coefficients
  for name, ours in {
    "betas": schedule.beta,
    "alphas_cumprod": schedule.alpha_bar,
    "alphas_cumprod_prev": schedule.alpha_bar_previous,
    "sqrt_recip_alphas_cumprod": 1.0 / signal,
    "sqrt_recipm1_alphas_cumprod": sigma / signal,
    "posterior_mean_coef1": of_x0,
    "posterior_mean_coef2": of_xt,
  }.items():
    np.testing.assert_allclose(ours, GOLDEN[name], rtol=1e-9, err_msg=name)


def test_linear_betas_run_from_1e_4_to_2e_2():
  np.testing.assert_allclose(make_schedule("linear").beta[[0, -1]], [1e-4, 2e-2], rtol=1e-9)


def test_noised_samples_agree_with_the_release():
  schedule, x0, noise = make_schedule("linear"), GOLDEN["q_sample/x0"], GOLDEN["q_sample/noise"]
  for step, expected in zip(GOLDEN["q_sample/t"], GOLDEN["q_sample/xt"], strict=True):
    ours = q_sample(schedule, jnp.asarray(x0), jnp.full(x0.shape[0], step), jnp.asarray(noise))
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-7, err_msg=f"timestep {step}")


def test_each_example_is_noised_at_its_own_step():
  schedule = make_schedule("linear", 11)
  x0, noise, steps = jnp.ones((3, 2)), jnp.full((3, 2), 2.0), jnp.array([0, 5, 10])
  signal, sigma = schedule.signal_and_sigma
  expected = np.repeat((signal + 2.0 * sigma)[[0, 5, 10], None], 2, axis=1)
  np.testing.assert_allclose(q_sample(schedule, x0, steps, noise), expected, rtol=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("timesteps", [1, 7, 50, 1000])
def test_noise_grows_with_every_step(name, timesteps):
  schedule = make_schedule(name, timesteps)
  assert len(schedule.alpha_bar) == timesteps
  assert np.all(np.diff(schedule.alpha_bar) < 0.0)
  assert np.all((schedule.alpha_bar > 0.0) & (schedule.alpha_bar < 1.0))
  assert np.all(schedule.beta <= 0.999 + 1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_long_schedules_run_from_data_to_noise(name):
  alpha_bar = make_schedule(name).alpha_bar
  assert alpha_bar[0] > 0.999
  assert alpha_bar[-1] < 1e-4


def test_cosine_schedule_is_half_way_in_the_middle():
  # cos^2 at (0.5 + 0.008) / 1.008 of a quarter turn, over its value at the start
  expected = (np.cos(0.508 / 1.008 * np.pi / 2) / np.cos(0.008 / 1.008 * np.pi / 2)) ** 2
  assert make_schedule("cosine").alpha_bar[499] == pytest.approx(expected, rel=1e-9)
  assert expected == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("steps", [50, 1000])
def test_respaced_timesteps_agree_with_the_release(steps):
  respaced = respace(make_schedule("linear"), steps)
  np.testing.assert_array_equal(respaced.timestep, GOLDEN[f"ddpm{steps}/timesteps"])
  np.testing.assert_array_equal(respaced.alpha_bar, make_schedule("linear").alpha_bar[respaced.timestep])


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 999])
def test_respacing_keeps_distinct_steps_and_the_noisiest(steps):
  respaced = respace(make_schedule("linear"), steps)
  assert len(np.unique(respaced.timestep)) == steps
  assert respaced.timestep[-1] == 999
  assert np.all(np.diff(respaced.alpha_bar) < 0.0)


@pytest.mark.parametrize(("steps", "stop"), [(1, 0.5), (2, 0.25), (7, 0.4)])
def test_respacing_may_leave_out_what_is_nearest_to_the_data(steps, stop):
  timestep = respace(make_schedule("linear"), steps, stop).timestep
  assert timestep[-1] == 999 and len(timestep) == steps
  if steps > 1:
    assert timestep[0] == pytest.approx(stop * 999, abs=0.5)
    assert np.ptp(np.diff(timestep)) <= 1
  with pytest.raises(ValueError, match="sampling steps: 5 is not between 1 and the 4"):
    respace(make_schedule("linear", 7), 5, 0.5)


@pytest.mark.parametrize("steps", [0, 8])
def test_impossible_respacing_is_named(steps):
  with pytest.raises(ValueError, match=f"sampling steps: {steps} is not between 1 and the 7"):
    respace(make_schedule("linear", 7), steps)


def test_impossible_schedules_are_named():
  with pytest.raises(ValueError, match="^schedule: unknown 'sigmoid'; it is one of: linear, cosine"):
    make_schedule("sigmoid")
  with pytest.raises(ValueError, match="^timesteps: 0 is less than 1"):
    make_schedule("linear", 0)
