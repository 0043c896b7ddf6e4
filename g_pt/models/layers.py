"""Pieces that the models share."""

from collections.abc import Callable
import functools
from typing import Any

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from g_pt import sharding

# The name of modules that are many layers: every weight has an axis more, in front.
STACK = "blocks"


class Dense(nn.Module):
  """A linear layer as one matrix product over all leading axes.

  XLA's CPU backend runs the gradient of a product with two leading axes at
  half the speed of the same product on a matrix, and sums a matrix over its
  rows far slower than it multiplies it by ones: hence the bias is a product, too.
  Weights are float32; the product is one of `dtype`.
  """

  features: int
  use_bias: bool = True
  dtype: Any = jnp.float32
  kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()

  @nn.compact
  def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... features"]:
    kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
    kernel = sharding.gathered(kernel.astype(self.dtype), "/".join([*self.path, "kernel"]))
    y = x.reshape(-1, x.shape[-1]).astype(self.dtype) @ kernel
    if self.use_bias:
      bias = self.param("bias", nn.initializers.zeros, (self.features,))
      y = y + jnp.ones((y.shape[0], 1), self.dtype) @ bias[None].astype(self.dtype)
    return y.reshape(*x.shape[:-1], self.features)


class LayerNorm(nn.Module):
  """Layer normalisation with scale and bias, in float32.

  The variance is the mean squared deviation, which keeps its digits.
  """

  epsilon: float

  @nn.compact
  def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... d"]:
    scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
    bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
    rows = x.reshape(-1, x.shape[-1]).astype(jnp.float32)
    return jnp.reshape(_layer_norm(self.epsilon, rows, scale, bias), x.shape)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _layer_norm(epsilon, x: Float[Array, "row d"], scale: Float[Array, "d"], bias: Float[Array, "d"]):
  return _layer_norm_forward(epsilon, x, scale, bias)[0]


def _layer_norm_forward(epsilon, x, scale, bias):
  centred = x - jnp.mean(x, axis=1, keepdims=True)
  inverse = lax.rsqrt(jnp.mean(centred**2, axis=1, keepdims=True) + epsilon)
  normal = centred * inverse
  return normal * scale[None] + bias[None], (normal, inverse, scale)


def _layer_norm_backward(epsilon, kept, gradient):
  """By the formula, in two passes over memory; traced, the gradient of each mean would be another."""
  del epsilon
  normal, inverse, scale = kept
  ones = jnp.ones((1, normal.shape[0]))  # see `Dense`
  scaled = gradient * scale[None]
  mean, along = (jnp.mean(part, axis=1, keepdims=True) for part in (scaled, scaled * normal))
  return inverse * (scaled - mean - normal * along), (ones @ (gradient * normal))[0], (ones @ gradient)[0]


_layer_norm.defvjp(_layer_norm_forward, _layer_norm_backward)


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
  """x times the normal distribution function of x, exactly; by erf, which is faster than the erfc of `nn.gelu`."""
  return x * (0.5 + 0.5 * lax.erf(x * 0.5**0.5))


def attention(qkv_BxTxE: Float[Array, "b t e"], heads: int) -> Float[Array, "b t d"]:
  """Multi-head attention of every token to all.

  Queries, keys and values of a token lie one behind the other (e = 3 d), as one
  matrix product makes them; in each, as in the result, heads are side by side.
  """
  batch, tokens, entries = qkv_BxTxE.shape
  width = entries // (3 * heads)
  # Heads before tokens, so that XLA's products of small matrices find them side by side in memory.
  q_BxHxTxK, k_BxHxTxK, v_BxHxTxK = (
    sharding.activation(part.reshape(batch, tokens, heads, width).transpose(0, 2, 1, 3), "batch", "inner", None, None)
    for part in jnp.split(qkv_BxTxE, 3, axis=2)
  )
  products_BxHxTxT = jnp.einsum("bhqk,bhtk->bhqt", q_BxHxTxK * width**-0.5, k_BxHxTxK)
  weights_BxHxTxT = jax.nn.softmax(products_BxHxTxT.astype(jnp.float32)).astype(v_BxHxTxK.dtype)
  mixed_BxHxTxK = jnp.einsum("bhqt,bhtk->bhqk", weights_BxHxTxT, v_BxHxTxK)
  return mixed_BxHxTxK.transpose(0, 2, 1, 3).reshape(batch, tokens, heads * width)


def log_spaced_frequencies(count: int, max_log2: float) -> Float[np.ndarray, "frequency"]:
  """2^linspace(0, max_log2, count).

  Made by NumPy: every device, compiled or not, must see the same bits. A timestep of 999 times 2^14
  is 2e7 radians, so that one rounding more turns the angle by one radian.
  """
  return np.exp2(np.linspace(0.0, max_log2, count)).astype(np.float32)


def frequency_features(
  value: Float[Array, "batch"], frequencies: Float[np.ndarray, "frequency"]
) -> Float[Array, "batch feature"]:
  """[sin, cos, raw] of values times the frequencies; Peebles et al. 2022, appendix, with 128 of them up to 2^14."""
  angle = value[:, None] * frequencies[None]
  return jnp.concatenate([jnp.sin(angle), jnp.cos(angle), value[:, None]], axis=1)


def normalise(x: Float[Array, "... d"]) -> Float[Array, "... d"]:
  """LayerNorm without parameters: a condition supplies scale and shift."""
  centred = x - jnp.mean(x, axis=-1, keepdims=True)
  return centred * lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-6)


def embedded(
  width: int,
  frequencies: Float[np.ndarray, "frequency"],
  timestep: Float[Array, "batch"],
  start_metric: Float[Array, "batch"],
  prompted_metric: Float[Array, "batch"],
  by: Float[Array, "metric"] | None = None,
) -> Float[Array, "batch width"]:
  """What blocks are conditioned on; of a module, whose layers `timestep`, ..., `condition` it makes.

  `by` says which of several metrics is meant, by a 1 among zeros.
  """

  def embed(value, name):
    return Dense(width, name=name)(frequency_features(value, frequencies))

  summed = embed(timestep, "timestep") + embed(start_metric, "start_metric")
  summed = summed + embed(prompted_metric, "prompted_metric")
  if by is not None:
    summed = summed + Dense(width, name="metric")(by[None])
  return nn.silu(Dense(width, name="condition")(nn.silu(summed)))
