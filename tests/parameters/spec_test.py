"""Networks as vectors: exact round trips, the documented order, and other arrangements of the same numbers."""

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.parameters import HiddenLayer, ParameterSpec

ARRANGEMENT = (
  ("layer_1/kernel", (1, 0)),
  ("layer_1/bias", (0,)),
  ("layer_0/kernel", (1, 0)),
  ("layer_0/bias", (0,)),
)


def shape(*sizes):
  return jax.ShapeDtypeStruct(sizes, jnp.float32)


def one_line(error):
  return "\n" not in str(error.value)


def test_order_is_by_sorted_name_and_row_major(mlp_spec):
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


def test_a_number_or_what_broadcasts_is_repeated_over_its_array(mlp_spec):
  spec = mlp_spec(2, 3, 1)
  by_name = {"layer_0/bias": 1, "layer_0/kernel": 2, "layer_1/bias": 3, "layer_1/kernel": 4}
  np.testing.assert_array_equal(spec.repeated(by_name), [1] * 3 + [2] * 6 + [3] + [4] * 3)
  by_input = spec.repeated(by_name | {"layer_0/kernel": np.array([[5.0], [6.0]])})
  np.testing.assert_array_equal(by_input, [1] * 3 + [5] * 3 + [6] * 3 + [3] + [4] * 3)
  assert by_input.dtype == np.float32


def test_another_arrangement_holds_the_same_arrays_transposed(mlp_spec):
  spec = mlp_spec(7, 5, 3)
  theta = np.arange(spec.size)
  index, layers = spec.arrangement_index(ARRANGEMENT), spec.layers(jnp.asarray(theta))
  expected = [np.asarray(layers[name]).transpose(axes).ravel() for name, axes in ARRANGEMENT]
  np.testing.assert_array_equal(theta[index], np.concatenate(expected))
  np.testing.assert_array_equal(theta[index][np.argsort(index)], theta)
  arranged = spec.arranged(ARRANGEMENT)
  assert arranged.names == ("layer_1/kernel", "layer_1/bias", "layer_0/kernel", "layer_0/bias")
  assert arranged.shapes == ((3, 5), (3,), (5, 7), (5,)) and not arranged.hidden_layers
  found = arranged.layers(jnp.asarray(theta[index]))
  for name, axes in ARRANGEMENT:
    np.testing.assert_array_equal(found[name], np.asarray(layers[name]).transpose(axes))
  assert [leaf.shape for leaf in arranged.unflatten(jnp.asarray(theta[index], float))] == list(arranged.shapes)


@pytest.mark.parametrize(
  "arrangement",
  [
    ARRANGEMENT[1:],
    (*ARRANGEMENT, ARRANGEMENT[0]),
    (("layer_1/kernel", (0, 0)), *ARRANGEMENT[1:]),
    (("layer_1/kernel", (1,)), *ARRANGEMENT[1:]),
    (("layer_2/kernel", (1, 0)), *ARRANGEMENT[1:]),
  ],
  ids=["one missing", "one twice", "an axis twice", "an axis missing", "another name"],
)
def test_an_arrangement_that_does_not_fit_is_refused(mlp_spec, arrangement):
  with pytest.raises(ValueError, match="an arrangement of the parameters .* is needed") as error:
    mlp_spec(7, 5, 3).arrangement_index(arrangement)
  assert one_line(error)


def test_a_network_of_other_shapes_is_refused(mlp_spec):
  spec, other = mlp_spec(7, 5, 3), mlp_spec(7, 5, 2)
  with pytest.raises(ValueError, match=r"\(5, 3\).*is needed.*\(5, 2\)") as error:
    spec.flatten(other.unflatten(jnp.zeros(other.size)))
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
