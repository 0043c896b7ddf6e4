"""What the model is trained to do: recover x_0 from x_t; and how differently two networks behave."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from g_pt.diffusion.schedule import Schedule, q_sample

# (noised x_t, timestep) -> the model's estimate of x_0
Denoiser = Callable[[Float[Array, "batch x"], Float[Array, "batch"]], Float[Array, "batch x"]]
PREDICTIONS = ("x0", "noise")
# Differences beyond which more counts in proportion: of losses, in nats, and of shares of examples that are wrong.
_LARGE_LOSS, _LARGE_ERROR = 0.2, 0.1
_SOFT = 0.2  # width of a step, in units of a network's usual distance between classes


def x0_of_noise(schedule: Schedule, step, xt: Float[Array, "batch x"], noise: Float[Array, "batch x"]):
  """x_0 that `noise` would have turned into `xt`; the inverse of `q_sample`."""
  signal, sigma = (jnp.asarray(x, xt.dtype)[step][..., None] for x in schedule.signal_and_sigma)
  return (xt - sigma * noise) / signal


def denoising_loss(
  model: Denoiser,
  schedule: Schedule,
  prediction: str,
  x0: Float[Array, "batch x"],
  step: Int[Array, "batch"],
  noise: Float[Array, "batch x"],
) -> tuple[Float[Array, "batch"], Float[Array, "batch x"]]:
  """Squared error of one example each, averaged over entries (MSE of x_0 or of the noise), and the model's output."""
  xt = q_sample(schedule, x0, step, noise)
  output = model(xt, jnp.asarray(schedule.timestep, x0.dtype)[step])
  target = x0 if prediction == "x0" else noise
  return jnp.mean((output - target) ** 2, axis=-1), output


def random_steps(key: Array, schedule: Schedule, batch: int) -> Int[Array, "batch"]:
  """A timestep for each example, all equally likely."""
  return jax.random.randint(key, (batch,), 0, len(schedule.timestep))


def divergence(
  target: Float[Array, "example class net"], estimate: Float[Array, "example class net"]
) -> Float[Array, "net"]:
  """KL(target || estimate) of the classes' probabilities by their logits, in nats, averaged over examples.

  Equal errors in weights can change outputs very differently; networks are
  compared by their outputs on task inputs.
  """
  wanted, given = jax.nn.log_softmax(target, axis=1), jax.nn.log_softmax(estimate, axis=1)
  return jnp.mean(jnp.sum(jnp.exp(wanted) * (wanted - given), axis=1), axis=0)


def loss_difference(
  labels: Int[Array, "example"],
  target: Float[Array, "example class net"],
  estimate: Float[Array, "example class net"],
  below: Float[Array, "net"] | float = 1.0,
) -> Float[Array, "net"]:
  """How much the estimate's cross-entropy with the labels, in nats, is above or below the target's, as a loss.

  An estimate that lies between many possible targets is worse than each of them,
  though it is near to all: of its divergence that is a small part, of what was
  prompted it is all. What it is better counts by the share `below`.
  """
  places = labels[:, None, None]

  def loss(logits: Float[Array, "example class net"]) -> Float[Array, "net"]:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits, axis=1), places, axis=1)[:, 0], axis=0)

  return _size(loss(estimate) - loss(target), _LARGE_LOSS, below)


def error_difference(
  labels: Int[Array, "example"],
  target: Float[Array, "example class net"],
  estimate: Float[Array, "example class net"],
  below: Float[Array, "net"] | float = 1.0,
) -> Float[Array, "net"]:
  """The same by the share of examples that a network gets wrong.

  A step has no slope: an example counts as wrong by the logistic function of how far
  its right class is behind the next, in units of what is usual for that network.
  """
  right = (labels[:, None] == jnp.arange(target.shape[1])[None])[:, :, None]

  def wrong(logits: Float[Array, "example class net"]) -> Float[Array, "net"]:
    # By its place: the slope of a maximum looks for what equals it, which may be reckoned twice and rounded apart.
    next_best = jnp.argmax(jnp.where(right, -jnp.inf, logits), axis=1, keepdims=True)
    behind = jnp.take_along_axis(logits, next_best, axis=1)[:, 0] - jnp.sum(jnp.where(right, logits, 0.0), axis=1)
    usual = jnp.sqrt(jnp.mean(jax.lax.stop_gradient(behind) ** 2, axis=0, keepdims=True))
    return jnp.mean(jax.nn.sigmoid(behind / (_SOFT * usual + 1e-6)), axis=0)

  return _size(wrong(estimate) - wrong(target), _LARGE_ERROR, below)


def _size(apart: Float[Array, "net"], large: float, below: Float[Array, "net"] | float) -> Float[Array, "net"]:
  """Half of the square of what is small, and a line where it is large (pseudo-Huber); of what is below 0, a share.

  By few images nothing can be done about some differences.
  """
  return large**2 * (jnp.sqrt(1 + (apart / large) ** 2) - 1) * jnp.where(apart < 0, below, 1.0)
