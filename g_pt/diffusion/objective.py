"""What the model is trained to do: recover x_0 from x_t."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

from g_pt.diffusion.schedule import Schedule, q_sample

# (noised x_t, timestep) -> the model's estimate of x_0
Denoiser = Callable[[Float[Array, "batch x"], Float[Array, "batch"]], Float[Array, "batch x"]]
PREDICTIONS = ("x0", "noise")


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
  prediction: str = "x0"  # what the model's output means: one of PREDICTIONS
  min_snr: float = 0.0  # gamma of min-SNR weights (Hang et al. 2023); 0: every timestep weighs the same

  def __post_init__(self):
    if self.prediction not in PREDICTIONS:
      raise ValueError(f"diffusion.prediction: unknown {self.prediction!r}; it is one of: {', '.join(PREDICTIONS)}")


def x0_of_noise(schedule: Schedule, step, xt: Float[Array, "batch x"], noise: Float[Array, "batch x"]):
  """x_0 that `noise` would have turned into `xt`; the inverse of `q_sample`."""
  signal, spread = schedule.signal_and_spread
  return (xt - jnp.asarray(spread, xt.dtype)[step][..., None] * noise) / jnp.asarray(signal, xt.dtype)[step][..., None]


def denoising_loss(
  model: Denoiser,
  schedule: Schedule,
  config: ObjectiveConfig,
  x0: Float[Array, "batch x"],
  step: Int[Array, "batch"],
  noise: Float[Array, "batch x"],
) -> tuple[Float[Array, "batch"], Float[Array, "batch x"]]:
  """Squared error of one example each, averaged over entries (MSE of x_0 or of the noise), and the model's output."""
  xt = q_sample(schedule, x0, step, noise)
  output = model(xt, jnp.asarray(schedule.timestep, x0.dtype)[step])
  target = x0 if config.prediction == "x0" else noise
  error = jnp.mean((output - target) ** 2, axis=-1)
  if not config.min_snr:
    return error, output
  snr = jnp.asarray(schedule.alpha_bar / (1.0 - schedule.alpha_bar), x0.dtype)[step]
  weight = jnp.minimum(snr, config.min_snr)
  return error * (weight if config.prediction == "x0" else weight / snr), output


def random_steps(key: Array, schedule: Schedule, batch: int) -> Int[Array, "batch"]:
  """A timestep for each example, all equally likely."""
  return jax.random.randint(key, (batch,), 0, len(schedule.timestep))


def prior_bits(schedule: Schedule, x0: Float[Array, "batch x"]) -> Float[Array, "batch"]:
  """KL(q(x_T | x_0) || N(0, 1)) in bits an entry: what the noisiest step still tells of x_0."""
  alpha_bar = float(schedule.alpha_bar[-1])
  variance = 1.0 - alpha_bar
  nats = 0.5 * (variance - 1.0 - np.log(variance) + alpha_bar * x0**2)
  return jnp.mean(nats, axis=-1) / np.log(2.0)
