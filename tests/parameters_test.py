"""Networks as vectors: exact round trips, the documented order, and the symmetry of hidden units."""

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.parameters import HiddenLayer, ParameterSpec
from g_pt.tasks.classifiers import mlp_hidden_layers


def mlp_spec(inputs, *widths):
  shapes, sizes = {}, (inputs, *widths)
  for i, (fan_in, fan_out) in enumerate(zip(sizes, widths)):
    shapes[f"layer_{i}"] = {"kernel": shape(fan_in, fan_out), "bias": shape(fan_out)}
  return ParameterSpec.of(shapes, mlp_hidden_layers(widths))


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


def theta_of(spec, seed=0):
  return jax.random.normal(jax.random.key(seed), (spec.size,))


def one_line(error):
  return "\n" not in str(error.value)


def test_order_is_by_sorted_name_and_row_major():
  spec = mlp_spec(7, 5, 3)
  assert spec.names == ("layer_0/bias", "layer_0/kernel", "layer_1/bias", "layer_1/kernel")
  assert spec.sizes == (5, 35, 3, 15)
  assert spec.size == 58
  assert spec.slices == {
    "layer_0/bias": slice(0, 5),
    "layer_0/kernel": slice(5, 40),
    "layer_1/bias": slice(40, 43),
    "layer_1/kernel": slice(43, 58),
  }
  layers = spec.layers(jnp.arange(58))
  np.testing.assert_array_equal(layers["layer_1/kernel"], np.arange(43, 58).reshape(5, 3))


names = st.text("abcdef", min_size=1, max_size=3)
trees = st.recursive(
  st.lists(st.integers(1, 4), max_size=3).map(tuple),
  lambda children: st.dictionaries(names, children, min_size=1, max_size=3),
  max_leaves=6,
).filter(lambda tree: isinstance(tree, dict))


@hypothesis.given(trees, st.integers(0, 1000))
def test_round_trips_are_exact(shapes, seed):
  rng = np.random.default_rng(seed)

  def draw(size):
    return jnp.asarray(rng.normal(size=size), jnp.float32)

  tree = jax.tree.map(draw, shapes, is_leaf=lambda node: isinstance(node, tuple))
  spec = ParameterSpec.of(tree)
  theta = spec.flatten(tree)
  assert theta.shape == (spec.size,)
  back = spec.unflatten(theta)
  assert jax.tree.structure(back) == jax.tree.structure(tree)
  jax.tree.map(np.testing.assert_array_equal, back, tree)
  np.testing.assert_array_equal(spec.flatten(back), theta)


@hypothesis.given(st.permutations(range(5)), st.permutations(range(3)), st.permutations(range(2)), st.integers(0, 99))
def test_permuted_mlp_computes_the_same(first, second, third, seed):
  spec, x = mlp_spec(7, 5, 3, 2, 4), np.random.default_rng(seed).normal(size=(11, 7))
  theta = theta_of(spec, seed)
  permuted = theta[spec.permutation_index([jnp.asarray(order) for order in (first, second, third)])]
  np.testing.assert_allclose(mlp(spec, permuted, x), mlp(spec, theta, x), rtol=1e-12, atol=1e-12)


@hypothesis.given(st.permutations(range(3)), st.permutations(range(5)), st.integers(0, 99))
def test_permuted_cnn_computes_the_same(first, second, seed):
  image = np.random.default_rng(seed).normal(size=(6, 6, 2))
  theta = theta_of(CNN, seed)
  permuted = theta[CNN.permutation_index([jnp.asarray(first), jnp.asarray(second)])]
  np.testing.assert_allclose(cnn(CNN, permuted, image), cnn(CNN, theta, image), rtol=1e-12, atol=1e-12)


def test_unit_i_is_its_former_unit_permutation_i():
  spec = mlp_spec(7, 5, 3)
  order = jnp.array([2, 0, 1, 4, 3])
  theta = theta_of(spec)
  moved = spec.layers(theta[spec.permutation_index([order])])
  layers = spec.layers(theta)
  np.testing.assert_array_equal(moved["layer_0/kernel"], layers["layer_0/kernel"][:, order])
  np.testing.assert_array_equal(moved["layer_0/bias"], layers["layer_0/bias"][order])
  np.testing.assert_array_equal(moved["layer_1/kernel"], layers["layer_1/kernel"][order])
  np.testing.assert_array_equal(moved["layer_1/bias"], layers["layer_1/bias"])


def test_random_permutations_differ_between_layers_and_keys():
  spec = mlp_spec(7, 31, 31, 3)
  first = spec.random_permutations(jax.random.key(0))
  other = spec.random_permutations(jax.random.key(1))
  for order in (*first, *other):
    np.testing.assert_array_equal(np.sort(order), np.arange(31))
  assert len({tuple(np.asarray(order)) for order in (*first, *other)}) == 4


def test_spread_repeats_a_number_over_its_layer():
  spec = mlp_spec(2, 3, 1)
  spread = spec.spread({"layer_0/bias": 1, "layer_0/kernel": 2, "layer_1/bias": 3, "layer_1/kernel": 4})
  np.testing.assert_array_equal(spread, [1] * 3 + [2] * 6 + [3] + [4] * 3)


def test_a_network_of_other_shapes_is_refused():
  spec, other = mlp_spec(7, 5, 3), mlp_spec(7, 5, 2)
  with pytest.raises(ValueError, match=r"\(5, 3\).*is needed.*\(5, 2\)") as error:
    spec.flatten(other.unflatten(theta_of(other)))
  assert one_line(error)
  with pytest.raises(ValueError, match="is needed") as error:
    spec.flatten({"layer_0": jnp.zeros(58)})
  assert one_line(error)
  with pytest.raises(ValueError, match=r"58 parameters.*\(57,\)") as error:
    spec.unflatten(jnp.zeros(57))
  assert one_line(error)


@pytest.mark.parametrize(
  ("axes", "message"),
  [((("layer_9/bias", 0),), "no parameter 'layer_9/bias'"), ((("layer_0/kernel", 0),), "layer_0/kernel: axis 0")],
)
def test_a_hidden_layer_that_does_not_fit_is_refused(axes, message):
  tree = {"layer_0": {"kernel": shape(7, 5), "bias": shape(5)}}
  with pytest.raises(ValueError, match=message) as error:
    ParameterSpec.of(tree, [HiddenLayer(5, axes)])
  assert one_line(error)


def test_a_permutation_too_few_is_refused():
  with pytest.raises(ValueError, match="2 permutations are needed, one a hidden layer, not 1") as error:
    CNN.permutation_index([jnp.arange(3)])
  assert one_line(error)
