"""Layers agree with Flax's, and so do their gradients."""

import functools

import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from g_pt.models import layers

X = jax.random.normal(jax.random.key(0), (3, 5, 8)) * 2 + 1


@pytest.mark.parametrize(
  ("ours", "reference"),
  [
    (layers.Dense(6), nn.Dense(6)),
    (layers.LayerNorm(1e-5), nn.LayerNorm(1e-5, use_fast_variance=False)),
  ],
)
def test_output_and_gradients_are_those_of_flax(ours, reference):
  weights = reference.init(jax.random.key(1), X)
  weights = jax.tree.map(lambda w: w + jax.random.normal(jax.random.key(2), w.shape), weights)
  chex.assert_trees_all_equal_shapes_and_dtypes(ours.init(jax.random.key(1), X), weights)

  def output_and_gradients(layer):
    def total(weights, x):
      return jnp.sum(jnp.sin(layer.apply(weights, x)))

    return layer.apply(weights, X), jax.grad(total, argnums=(0, 1))(weights, X)

  chex.assert_trees_all_close(output_and_gradients(ours), output_and_gradients(reference), rtol=1e-5, atol=1e-5)


def test_layer_norm_keeps_its_digits_far_from_zero():
  norm = layers.LayerNorm(1e-5)
  x = jnp.linspace(-1, 1, 16)[None]
  near, far = (norm.apply(norm.init(jax.random.key(0), x), x + shift) for shift in (0, 1024))
  np.testing.assert_allclose(far, near, atol=1e-3)


def test_gelu_is_exact():
  x = jnp.linspace(-6, 6, 101)
  np.testing.assert_allclose(layers.gelu(x), x * stats.norm.cdf(np.asarray(x, np.float64)), atol=1e-6)
  ours, reference = (jax.vmap(jax.grad(f))(x) for f in (layers.gelu, functools.partial(nn.gelu, approximate=False)))
  np.testing.assert_allclose(ours, reference, atol=1e-6)


def test_attention_is_that_of_jax():
  qkv = jax.random.normal(jax.random.key(0), (2, 5, 3, 4, 8))
  reference = jax.nn.dot_product_attention(*jnp.moveaxis(qkv, 2, 0))
  ours = layers.attention(qkv.reshape(2, 5, 96), heads=4)
  np.testing.assert_allclose(ours, reference.reshape(2, 5, 32), rtol=1e-5, atol=1e-6)
