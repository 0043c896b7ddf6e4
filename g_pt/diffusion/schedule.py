"""How much noise there is at each timestep (Ho et al. 2020, Nichol & Dhariwal 2021)."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

SCHEDULES = ("linear", "cosine")


class Schedule(NamedTuple):
  """alpha_bar falls from nearly 1 (data) to nearly 0 (noise).

  `timestep` is what the model is told at each step: 0, 1, ... for a whole
  schedule, those kept for a respaced one.
  """

  alpha_bar: Float[np.ndarray, "step"]
  timestep: Int[np.ndarray, "step"]

  @property
  def alpha_bar_previous(self) -> Float[np.ndarray, "step"]:
    """alpha_bar one step nearer to the data; 1 at the last."""
    return np.append(1.0, self.alpha_bar[:-1])

  @property
  def beta(self) -> Float[np.ndarray, "step"]:
    return 1.0 - self.alpha_bar / self.alpha_bar_previous

  @property
  def signal_and_sigma(self) -> tuple[Float[np.ndarray, "step"], Float[np.ndarray, "step"]]:
    """Factors of x_0 and of the noise in x_t. In float32, 1 - alpha_bar near the data has three digits left."""
    return np.sqrt(self.alpha_bar), np.sqrt(1.0 - self.alpha_bar)

  @property
  def posterior_mean_coefficients(self) -> tuple[Float[np.ndarray, "step"], Float[np.ndarray, "step"]]:
    """Of x_0 and of x_t in the mean of q(x_{t-1} | x_t, x_0); Ho et al. 2020, equation 7."""
    of_x0 = self.beta * np.sqrt(self.alpha_bar_previous) / (1.0 - self.alpha_bar)
    of_xt = (1.0 - self.alpha_bar_previous) * np.sqrt(1.0 - self.beta) / (1.0 - self.alpha_bar)
    return of_x0, of_xt


def make_schedule(name: str, timesteps: int = 1000) -> Schedule:
  """`linear`: betas from 0.1/T to 20/T (1e-4 to 0.02 at 1000); `cosine`: squared cosine. No beta is above 0.999."""
  if timesteps < 1:
    raise ValueError(f"timesteps: {timesteps} is less than 1")
  match name:
    case "linear":
      beta = np.linspace(0.1 / timesteps, 20.0 / timesteps, timesteps)
    case "cosine":
      alpha_bar = np.cos((np.arange(timesteps + 1) / timesteps + 0.008) / 1.008 * np.pi / 2) ** 2
      beta = 1.0 - alpha_bar[1:] / alpha_bar[:-1]
    case _:
      raise ValueError(f"schedule: unknown {name!r}; it is one of: {', '.join(SCHEDULES)}")
  return Schedule(np.cumprod(1.0 - np.minimum(beta, 0.999)), np.arange(timesteps))


def respace(schedule: Schedule, steps: int, stop: float = 0.0) -> Schedule:
  """The schedule of `steps` of its timesteps, evenly spaced; the noisiest is always kept.

  The least noisy one that is kept lies `stop` of the way from the data to the noise.
  """
  total = len(schedule.timestep)
  there_are = total - round(stop * (total - 1))
  if not 1 <= steps <= there_are:
    raise ValueError(f"sampling steps: {steps} is not between 1 and the {there_are} of the diffusion")
  first = total - 1 if steps == 1 else stop * (total - 1)
  kept = np.round(np.linspace(first, total - 1, steps)).astype(int)
  return Schedule(schedule.alpha_bar[kept], schedule.timestep[kept])


def q_sample(
  schedule: Schedule, x0: Float[Array, "*batch x"], step: Int[Array, "*batch"], noise: Float[Array, "*batch x"]
) -> Float[Array, "*batch x"]:
  """x_t of x_0; Ho et al. 2020, equation 4."""
  signal, sigma = (jnp.asarray(x, x0.dtype)[step][..., None] for x in schedule.signal_and_sigma)
  return signal * x0 + sigma * noise
