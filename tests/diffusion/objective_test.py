"""The denoising loss: parity with the public release, and its properties."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.diffusion.objective import ObjectiveConfig, denoising_loss, prior_bits, random_steps, x0_of_noise
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
  loss = denoising_loss(toy, LINEAR, ObjectiveConfig(), x0, steps, noise)[0]
  np.testing.assert_allclose(loss, GOLDEN["training_losses/loss"], rtol=1e-5)


def test_what_is_left_of_the_data_agrees_with_the_release():
  # The release sums terms near 1 in float32, which leaves it four digits.
  np.testing.assert_allclose(prior_bits(LINEAR, jnp.asarray(GOLDEN["q_sample/x0"])), GOLDEN["prior_bpd"], rtol=1e-4)


@pytest.mark.parametrize("prediction", ["x0", "noise"])
def test_loss_is_zero_for_the_right_answer_alone(prediction):
  x0, noise = examples()
  right = x0 if prediction == "x0" else noise
  config = ObjectiveConfig(prediction, min_snr=5.0)
  assert not np.any(denoising_loss(lambda xt, timestep: right, LINEAR, config, x0, STEPS, noise)[0])
  config, wrong = ObjectiveConfig(prediction), right.at[2].add(0.5)
  loss = denoising_loss(lambda xt, timestep: wrong, LINEAR, config, x0, STEPS, noise)[0]
  np.testing.assert_allclose(loss, [0.0, 0.0, 0.25, 0.0, 0.0], atol=1e-6)


def test_model_is_shown_the_noised_vector_and_its_timestep():
  x0, noise = examples()
  seen = []

  def model(xt, timestep):
    seen.append((xt, timestep))
    return xt

  denoising_loss(model, LINEAR, ObjectiveConfig(), x0, STEPS, noise)
  np.testing.assert_array_equal(seen[0][0], q_sample(LINEAR, x0, STEPS, noise))
  np.testing.assert_array_equal(seen[0][1], np.float32(STEPS))


def test_x0_of_noise_undoes_q_sample():
  x0, noise = examples()
  x0_again = x0_of_noise(LINEAR, STEPS, q_sample(LINEAR, x0, STEPS, noise), noise)
  # 1 / sqrt(alpha_bar) is 157 at the last step, and multiplies the rounding.
  np.testing.assert_allclose(x0_again, x0, atol=1e-4)


@pytest.mark.parametrize("gamma", [0.5, 5.0])
def test_min_snr_weighs_by_the_clipped_signal_to_noise_ratio(gamma):
  x0, noise = examples()
  snr = (LINEAR.alpha_bar / (1.0 - LINEAR.alpha_bar))[np.asarray(STEPS)]
  assert snr.min() < 0.5 and snr.max() > 5.0
  for prediction, weight in (("x0", np.minimum(snr, gamma)), ("noise", np.minimum(snr, gamma) / snr)):
    plain = denoising_loss(lambda x, t: 0.1 * x, LINEAR, ObjectiveConfig(prediction), x0, STEPS, noise)[0]
    weighted = denoising_loss(lambda x, t: 0.1 * x, LINEAR, ObjectiveConfig(prediction, gamma), x0, STEPS, noise)[0]
    np.testing.assert_allclose(weighted, weight * plain, rtol=1e-5)


def test_min_snr_loss_does_not_depend_on_what_is_predicted():
  x0, noise = examples()

  def predict_noise(xt, timestep):
    return jnp.sin(xt) + timestep[:, None] / 1000.0

  def predict_x0(xt, timestep):
    return x0_of_noise(LINEAR, timestep.astype(int), xt, predict_noise(xt, timestep))

  of_noise = denoising_loss(predict_noise, LINEAR, ObjectiveConfig("noise", 5.0), x0, STEPS, noise)[0]
  of_x0 = denoising_loss(predict_x0, LINEAR, ObjectiveConfig("x0", 5.0), x0, STEPS, noise)[0]
  np.testing.assert_allclose(of_x0, of_noise, rtol=2e-3)


def test_random_steps_cover_the_schedule_evenly():
  steps = np.asarray(random_steps(jax.random.key(3), make_schedule("linear", 5), 5000))
  # 1000 each, with a standard deviation of 28
  np.testing.assert_allclose(np.bincount(steps, minlength=5), 1000, atol=150)
  assert len(np.bincount(steps)) == 5


def test_unknown_predictions_are_named():
  with pytest.raises(ValueError, match="diffusion.prediction: unknown 'v'; it is one of: x0, noise"):
    ObjectiveConfig("v")
