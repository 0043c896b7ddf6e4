"""Networks whose hidden units changed places compute the same."""

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.parameters import HiddenLayer, ParameterSpec
from g_pt.parameters.symmetry import permutation_index, random_permutations


def shape(*sizes):
  return jax.ShapeDtypeStruct(sizes, jnp.float32)


def mlp(spec, theta, x):
  """The network in double precision, so that only the order of sums differs."""
  layers = {name: np.asarray(value, np.float64) for name, value in spec.layers(theta).items()}
  count = len(layers) // 2
  for i in range(count):
    x = x @ layers[f"layer_{i}/kernel"] + layers[f"layer_{i}/bias"]
    x = np.maximum(x, 0) if i < count - 1 else x
  return x


# conv 3x3 2->3, conv 2x2 3->5, mean over places, linear 5->7.
CNN = ParameterSpec.of(
  {
    "conv_0": {"kernel": shape(3, 3, 2, 3)},
    "conv_1": {"kernel": shape(2, 2, 3, 5)},
    "head": {"kernel": shape(5, 7), "bias": shape(7)},
  },
  (
    HiddenLayer(3, (("conv_0/kernel", 3), ("conv_1/kernel", 2))),
    HiddenLayer(5, (("conv_1/kernel", 3), ("head/kernel", 0))),
  ),
)


def convolve(image, kernel):
  """image [row, column, channel], kernel [row, column, in, out]; no padding."""
  windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape[:2], axis=(0, 1))
  return np.einsum("xyihw,hwio->xyo", windows, kernel)


def cnn(spec, theta, image):
  layers = {name: np.asarray(value, np.float64) for name, value in spec.layers(theta).items()}
  for name in ("conv_0", "conv_1"):
    image = np.maximum(convolve(image, layers[f"{name}/kernel"]), 0)
  return image.mean(axis=(0, 1)) @ layers["head/kernel"] + layers["head/bias"]


# Two inputs feed three units, which feed themselves by `inner` and one output.
RECURRENT = ParameterSpec.of(
  {"inner": shape(3, 3), "outer": shape(2, 3), "read": shape(3)},
  (HiddenLayer(3, (("inner", 0), ("inner", 1), ("outer", 1), ("read", 0))),),
)


def recurrent(spec, theta, steps):
  layers, h = {name: np.asarray(value, np.float64) for name, value in spec.layers(theta).items()}, np.zeros(3)
  for x in steps:
    h = np.tanh(x @ layers["outer"] + h @ layers["inner"])
  return h @ layers["read"]


def theta_of(spec, seed=0):
  return jax.random.normal(jax.random.key(seed), (spec.size,))


def permuted(spec, theta, *orders):
  return theta[permutation_index(spec, [jnp.asarray(order) for order in orders])]


@hypothesis.given(st.permutations(range(5)), st.permutations(range(3)), st.permutations(range(2)), st.integers(0, 99))
def test_permuted_mlp_computes_the_same(mlp_spec, first, second, third, seed):
  spec, x = mlp_spec(7, 5, 3, 2, 4), np.random.default_rng(seed).normal(size=(11, 7))
  theta = theta_of(spec, seed)
  moved = permuted(spec, theta, first, second, third)
  np.testing.assert_allclose(mlp(spec, moved, x), mlp(spec, theta, x), rtol=1e-12, atol=1e-12)


@hypothesis.given(st.permutations(range(3)), st.permutations(range(5)), st.integers(0, 99))
def test_permuted_cnn_computes_the_same(first, second, seed):
  image = np.random.default_rng(seed).normal(size=(6, 6, 2))
  theta = theta_of(CNN, seed)
  moved = permuted(CNN, theta, first, second)
  np.testing.assert_allclose(cnn(CNN, moved, image), cnn(CNN, theta, image), rtol=1e-12, atol=1e-12)


@hypothesis.given(st.permutations(range(3)), st.integers(0, 99))
def test_permuted_recurrent_network_computes_the_same(order, seed):
  steps, theta = np.random.default_rng(seed).normal(size=(4, 2)), theta_of(RECURRENT, seed)
  moved = permuted(RECURRENT, theta, order)
  found, wanted = (recurrent(RECURRENT, x, steps) for x in (moved, theta))
  np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_unit_i_is_its_former_unit_permutation_i(mlp_spec):
  spec = mlp_spec(7, 5, 3)
  order = jnp.array([2, 0, 1, 4, 3])
  theta = theta_of(spec)
  moved = spec.layers(permuted(spec, theta, order))
  layers = spec.layers(theta)
  np.testing.assert_array_equal(moved["layer_0/kernel"], layers["layer_0/kernel"][:, order])
  np.testing.assert_array_equal(moved["layer_0/bias"], layers["layer_0/bias"][order])
  np.testing.assert_array_equal(moved["layer_1/kernel"], layers["layer_1/kernel"][order])
  np.testing.assert_array_equal(moved["layer_1/bias"], layers["layer_1/bias"])


def test_random_permutations_differ_between_layers_and_keys(mlp_spec):
  spec = mlp_spec(7, 31, 31, 3)
  first = random_permutations(spec, jax.random.key(0))
  other = random_permutations(spec, jax.random.key(1))
  for order in (*first, *other):
    np.testing.assert_array_equal(np.sort(order), np.arange(31))
  assert len({tuple(np.asarray(order)) for order in (*first, *other)}) == 4


def test_a_network_without_hidden_layers_has_no_permutation(mlp_spec):
  spec = mlp_spec(7, 3)
  assert random_permutations(spec, jax.random.key(0)) == []
  np.testing.assert_array_equal(permutation_index(spec, []), np.arange(spec.size))


def test_a_permutation_too_few_is_refused():
  with pytest.raises(ValueError, match="2 permutations are needed, one a hidden layer, not 1") as error:
    permutation_index(CNN, [jnp.arange(3)])
  assert "\n" not in str(error.value)
