"""EDM preconditioning by coordinate: the model predicts the residual of the Wiener estimate.

After Karras et al. 2022, "Elucidating the design space", with a sigma_data for
each coordinate: where there is hardly any noise a model that has to copy what
it is shown through a narrow token blurs it.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from g_pt.diffusion.objective import Denoiser
from g_pt.diffusion.schedule import Schedule


def linear_error(schedule: Schedule, sigma_data: Float[Array, "x"]) -> Float[Array, "step"]:
  """Mean squared error of the Wiener estimate of x_0, at each timestep."""
  signal, noise = (jnp.asarray(x, jnp.float32)[:, None] for x in (schedule.alpha_bar, 1.0 - schedule.alpha_bar))
  variance = sigma_data[None] ** 2
  return jnp.mean(variance * noise / (signal * variance + noise), axis=1)


def preconditioned(
  model: Denoiser, schedule: Schedule, sigma_data: Float[Array, "x"], centre: Float[Array, "batch x"] | float = 0.0
) -> Denoiser:
  """x_0 = centre + c_skip (x_t - sqrt(alpha_bar) centre) + c_out model(x_t, t).

  The first two terms are the Wiener estimate, c_out is its error. `sigma_data`
  is the root mean square of x_0 - centre, coordinate by coordinate. The
  schedule is the whole one: a timestep is a place in it.
  """
  signal, noise = (jnp.asarray(x, jnp.float32) for x in (schedule.alpha_bar, 1.0 - schedule.alpha_bar))
  variance = sigma_data[None] ** 2

  def denoise(xt, timestep):
    step = timestep.astype(jnp.int32)
    signal_t, noise_t = signal[step][:, None], noise[step][:, None]
    total = signal_t * variance + noise_t
    c_skip = jnp.sqrt(signal_t) * variance / total
    c_out = sigma_data[None] * jnp.sqrt(noise_t / total)
    return centre + c_skip * (xt - jnp.sqrt(signal_t) * centre) + c_out * model(xt, timestep)

  return denoise
