"""Pieces that the models share."""

from collections.abc import Callable
from typing import Any

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class Dense(nn.Module):
  """A linear layer as one matrix product over all leading axes.

  XLA's CPU backend runs the gradient of a product with two leading axes at
  half the speed of the same product on a matrix.
  """

  features: int
  use_bias: bool = True
  kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()

  @nn.compact
  def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... features"]:
    kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
    y = x.reshape(-1, x.shape[-1]) @ kernel
    if self.use_bias:
      y = y + self.param("bias", nn.initializers.zeros, (self.features,))[None]
    return y.reshape(*x.shape[:-1], self.features)


def frequency_features(
  value: Float[Array, "..."], num_frequencies: int, max_log2_frequency: float
) -> Float[Array, "... feature"]:
  """[sin, cos, raw] of `value` times 2^linspace(0, max_log2_frequency, num_frequencies).

  Peebles et al. 2022, appendix; there with 128 frequencies up to 2^14.
  """
  frequencies = 2.0 ** jnp.linspace(0.0, max_log2_frequency, num_frequencies)
  angle = jnp.multiply.outer(value, frequencies)
  return jnp.concatenate([jnp.sin(angle), jnp.cos(angle), value[..., None]], axis=-1)
