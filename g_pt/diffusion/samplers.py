"""From noise to data: each sampler a pure function under `lax.scan`.

Where the model was trained on a schedule of 1000 steps and is sampled with
fewer, give the respaced schedule: the denoiser is told the original timesteps.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

from g_pt.diffusion.objective import Denoiser
from g_pt.diffusion.schedule import Schedule, respace

SAMPLERS = ("ddim", "ddpm")


def _timesteps(timestep: Float[Array, ""], x: Float[Array, "batch x"]) -> Float[Array, "batch"]:
  return jnp.full(x.shape[0], timestep, x.dtype)


def _reversed(*columns: Float[np.ndarray, "step"] | Int[np.ndarray, "step"]):
  """Columns of the schedule from the noisiest step on, as scan takes them; made in float64, rounded once."""
  return tuple(jnp.asarray(column[::-1].copy(), jnp.float32) for column in columns)


def ddim(denoise: Denoiser, schedule: Schedule, noise: Float[Array, "batch x"]) -> Float[Array, "batch x"]:
  """Deterministic: x_T -> x_0 (Song et al. 2021, equation 12 with sigma 0)."""
  previous = schedule.alpha_bar_previous
  columns = (schedule.timestep, *schedule.signal_and_sigma, np.sqrt(previous), np.sqrt(1.0 - previous))

  def body(x, columns):
    timestep, signal, sigma, signal_previous, sigma_previous = columns
    x0 = denoise(x, _timesteps(timestep, x))
    return signal_previous * x0 + sigma_previous * (x - signal * x0) / sigma, None

  return lax.scan(body, noise, _reversed(*columns))[0]


def ancestral(
  denoise: Denoiser,
  schedule: Schedule,
  noise: Float[Array, "batch x"],
  step_noise: Callable[[Int[Array, ""]], Float[Array, "batch x"]],
) -> Float[Array, "batch x"]:
  """DDPM: x_T -> x_0 with fixed-large variance (Ho et al. 2020, algorithm 2).

  `step_noise(i)` is the noise of the i-th reverse step; the last is not used.
  """
  of_x0, of_xt = schedule.posterior_mean_coefficients
  # Fixed-large: the variance of a step is its beta; the last adds none.
  deviation = np.sqrt(np.append(0.0, schedule.beta[1:]))
  columns = _reversed(schedule.timestep, of_x0, of_xt, deviation)

  def body(x, columns):
    i, (timestep, of_x0, of_xt, deviation) = columns
    return of_x0 * denoise(x, _timesteps(timestep, x)) + of_xt * x + deviation * step_noise(i), None

  return lax.scan(body, noise, (jnp.arange(len(deviation)), columns))[0]


def sample(
  name: str,
  denoise: Denoiser,
  schedule: Schedule,
  steps: int,
  noise: Float[Array, "batch x"],
  key: Array,
  stop: float = 0.0,
) -> Float[Array, "batch x"]:
  """From the first noise x_T to x_0 by the named sampler, in `steps` evaluations of the denoiser.

  `key` is for the noise of later steps, where a sampler adds any. `stop`: the
  fraction of timesteps nearest the data that is skipped; there an imperfect
  model adds errors of its own.
  """
  respaced = respace(schedule, steps, stop)
  match name:
    case "ddim":
      return ddim(denoise, respaced, noise)
    case "ddpm":
      shape = noise.shape
      return ancestral(denoise, respaced, noise, lambda i: jax.random.normal(jax.random.fold_in(key, i), shape))
  raise ValueError(f"sampler: unknown {name!r}; it is one of: {', '.join(SAMPLERS)}")
