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


def _timesteps(step: Schedule, x: Float[Array, "batch x"]) -> Float[Array, "batch"]:
  return jnp.full(x.shape[0], step.timestep, x.dtype)


def _reversed(schedule: Schedule, *columns: Float[np.ndarray, "step"]):
  """Columns of the schedule from the noisiest step on, as scan takes them."""
  kept = Schedule(schedule.alpha_bar, schedule.timestep)
  return jax.tree.map(lambda column: jnp.asarray(column[::-1].copy(), jnp.float32), (kept, *columns))


def ddim(denoise: Denoiser, schedule: Schedule, noise: Float[Array, "batch x"]) -> Float[Array, "batch x"]:
  """Deterministic: x_T -> x_0 (Song et al. 2021, equation 12 with sigma 0)."""

  def body(x, columns):
    step, alpha_bar_previous = columns
    x0 = denoise(x, _timesteps(step, x))
    epsilon = (x - jnp.sqrt(step.alpha_bar) * x0) / jnp.sqrt(1.0 - step.alpha_bar)
    return jnp.sqrt(alpha_bar_previous) * x0 + jnp.sqrt(1.0 - alpha_bar_previous) * epsilon, None

  return lax.scan(body, noise, _reversed(schedule, schedule.alpha_bar_previous))[0]


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
  columns = _reversed(schedule, of_x0, of_xt, deviation)

  def body(x, columns):
    i, (step, of_x0, of_xt, deviation) = columns
    return of_x0 * denoise(x, _timesteps(step, x)) + of_xt * x + deviation * step_noise(i), None

  return lax.scan(body, noise, (jnp.arange(len(deviation)), columns))[0]


def sample(
  name: str,
  denoise: Denoiser,
  schedule: Schedule,
  steps: int,
  shape: tuple[int, int],
  key: Array,
  temperature: float = 1.0,
  stop: float = 0.0,
) -> Float[Array, "batch x"]:
  """Draws x_0 by the named sampler in `steps` evaluations of the denoiser.

  `temperature` scales the first noise. The last estimate of x_0 is made where
  `stop` of the schedule's timesteps are still to come: nearer to the data an
  imperfect model adds errors of its own.
  """
  noise_key, step_key = jax.random.split(key)
  noise, respaced = temperature * jax.random.normal(noise_key, shape), respace(schedule, steps, stop)
  match name:
    case "ddim":
      return ddim(denoise, respaced, noise)
    case "ddpm":
      return ancestral(denoise, respaced, noise, lambda i: jax.random.normal(jax.random.fold_in(step_key, i), shape))
  raise ValueError(f"sample.sampler: unknown {name!r}; it is one of: {', '.join(SAMPLERS)}")
