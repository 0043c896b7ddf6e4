"""The neuron transformer keeps the symmetry of the networks that it writes, and uses all it is given."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.models.neuron_transformer import Layout, NeuronTransformer, NeuronTransformerConfig
from g_pt.parameters import HiddenLayer, ParameterSpec
from g_pt.parameters.symmetry import permutation_index, random_permutations

CONFIG = NeuronTransformerConfig(width=12, depth=1, heads=3, mlp_ratio=2, frequencies=5, edge_rank=4)
BATCH = 2


def shape(*sizes):
  return jax.ShapeDtypeStruct(sizes, jnp.float32)


def mlp_spec(inputs, *widths):
  tree = {
    f"layer_{i}": {"kernel": shape(fan_in, fan_out), "bias": shape(fan_out)}
    for i, (fan_in, fan_out) in enumerate(zip((inputs, *widths), widths))
  }
  hidden = [
    HiddenLayer(units, ((f"layer_{i}/kernel", 1), (f"layer_{i}/bias", 0), (f"layer_{i + 1}/kernel", 0)))
    for i, units in enumerate(widths[:-1])
  ]
  return ParameterSpec.of(tree, hidden)


SPECS = {
  "one hidden layer": mlp_spec(7, 5, 3),
  "two hidden layers": mlp_spec(4, 5, 3, 2),
  "three hidden layers": mlp_spec(4, 3, 5, 3, 2),
  "convolutions": ParameterSpec.of(
    {
      "conv_0": {"kernel": shape(3, 3, 2, 5)},
      "conv_1": {"kernel": shape(2, 2, 5, 3)},
      "head": {"kernel": shape(3, 7), "bias": shape(7)},
    },
    (
      HiddenLayer(5, (("conv_0/kernel", 3), ("conv_1/kernel", 2))),
      HiddenLayer(3, (("conv_1/kernel", 3), ("head/kernel", 0))),
    ),
  ),
  # Five units that feed themselves, and nothing that belongs to no unit.
  "recurrent": ParameterSpec.of(
    {"inner": shape(5, 5), "outer": shape(2, 5), "read": shape(5, 3)},
    (HiddenLayer(5, (("inner", 0), ("inner", 1), ("outer", 1), ("read", 0))),),
  ),
}


def inputs_of(spec, seed=0):
  """(noised, start, timestep, start metric, prompted metric) of a batch."""
  keys = jax.random.split(jax.random.key(seed), 5)
  vectors = [jax.random.normal(key, (BATCH, spec.size)) for key in keys[:2]]
  return *vectors, *(jax.random.uniform(key, (BATCH,)) for key in keys[2:])


@functools.cache
def model(name):
  """(weights of noise, apply) for one spec; initial weights are zero where it matters here."""
  module = NeuronTransformer(SPECS[name], CONFIG)
  shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs_of(SPECS[name]))
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda w: jnp.asarray(rng.normal(0, 0.3, w.shape), jnp.float32), shapes), jax.jit(module.apply)


@pytest.fixture(params=SPECS)
def name(request):
  return request.param


def test_permuting_the_networks_permutes_the_output(name):
  spec, (weights, apply) = SPECS[name], model(name)
  noised, start, *scalars = inputs_of(spec)
  out = apply(weights, noised, start, *scalars)
  index = permutation_index(spec, random_permutations(spec, jax.random.key(3)))
  permuted = apply(weights, noised[:, index], start[:, index], *scalars)
  scale = jnp.abs(out - start).max()
  np.testing.assert_allclose(permuted / scale, out[:, index] / scale, atol=1e-5)
  # The permutation and the model's change both count.
  assert jnp.abs(out - out[:, index]).max() > 0.1 * scale > 0.01
  assert jnp.abs((out - start) - (out - start)[:, index]).max() > 0.01 * scale


def test_only_hidden_units_may_change_places():
  spec, (weights, apply) = SPECS["one hidden layer"], model("one hidden layer")
  noised, start, *scalars = inputs_of(spec)
  # Inputs 0 and 1 of the network change places: pixels are not alike, and the model may tell them apart.
  index = np.arange(spec.size)
  kernel = index[spec.slices["layer_0/kernel"]].reshape(7, 5)
  kernel[[0, 1]] = kernel[[1, 0]]
  out = apply(weights, noised, start, *scalars)
  permuted = apply(weights, noised[:, index], start[:, index], *scalars)
  assert jnp.abs((permuted - start[:, index]) - (out - start)[:, index]).max() > 1e-2


def test_examples_of_a_batch_do_not_touch_each_other(name):
  weights, apply = model(name)
  inputs = inputs_of(SPECS[name])
  others = [jnp.concatenate([x[:1], y[1:]]) for x, y in zip(inputs, inputs_of(SPECS[name], seed=1))]
  np.testing.assert_allclose(apply(weights, *others)[0], apply(weights, *inputs)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["two hidden layers", "recurrent"])
def test_a_new_model_returns_the_start_or_without_residual_nothing(name):
  inputs = inputs_of(SPECS[name])
  module = NeuronTransformer(SPECS[name], CONFIG, residual=False)
  out, weights = jax.jit(module.init_with_output)(jax.random.key(0), *inputs)
  np.testing.assert_array_equal(out, 0.0)
  np.testing.assert_array_equal(model(name)[1](weights, *inputs), inputs[1])


@pytest.mark.parametrize("name", ["convolutions", "recurrent"])  # with weights of every kind that there is
def test_a_gradient_reaches_every_weight(name):
  weights, apply = model(name)
  inputs = inputs_of(SPECS[name])
  gradient = jax.jit(jax.grad(lambda weights: jnp.mean((apply(weights, *inputs) - 1.0) ** 2)))(weights)
  without = [jax.tree_util.keystr(path) for path, g in jax.tree_util.tree_leaves_with_path(gradient) if not np.any(g)]
  assert not without


def test_the_output_depends_on_every_entry_of_every_input():
  weights, apply = model("two hidden layers")
  inputs = inputs_of(SPECS["two hidden layers"])

  def of_all(*inputs):
    return jnp.sum(jnp.sin(apply(weights, *inputs)) - jnp.sin(inputs[1]))

  for gradient in jax.jit(jax.grad(of_all, argnums=range(5)))(*inputs):
    assert np.isfinite(gradient).all() and (gradient != 0).all()


def test_an_edge_of_a_layer_with_itself_carries_messages_both_ways():
  """Of the weights between units one alone is left, from the second unit to the fourth; nothing else joins units."""
  spec, (weights, apply) = SPECS["recurrent"], model("recurrent")
  gate = jax.tree.map(jnp.zeros_like, weights["params"]["block_0"]["modulation"])
  weights = {"params": weights["params"] | {"block_0": weights["params"]["block_0"] | {"modulation": gate}}}
  noised, start, *scalars = inputs_of(spec)
  one = jnp.zeros((5, 5)).at[1, 3].set(1.0).ravel()
  noised, start = (x.at[:, spec.slices["inner"]].set(one[None]) for x in (noised, start))

  def read(outer):
    out = apply(weights, noised.at[0, spec.slices["outer"]].set(outer.ravel()), start, *scalars)
    return out[0, spec.slices["read"]].reshape(5, 3)

  jacobian = jax.jit(jax.jacrev(read))(noised[0, spec.slices["outer"]].reshape(2, 5))
  joined = np.abs(jacobian).max(axis=(1, 2)) > 0
  expected = np.eye(5, dtype=bool)
  expected[1, 3] = expected[3, 1] = True
  np.testing.assert_array_equal(joined, expected)


def test_splitting_and_joining_a_vector_is_exact(name):
  spec, layout = SPECS[name], Layout(SPECS[name])
  theta = jnp.arange(spec.size, dtype=jnp.float32)
  units, edges, shared = layout.split(theta)
  np.testing.assert_array_equal(layout.join(units, edges, shared), theta)
  assert [len(features) for features in units] == [layer.units for layer in spec.hidden_layers]
  # Every parameter lies in one place.
  entries = np.concatenate([np.ravel(x) for x in (*units, *edges.values(), shared)])
  np.testing.assert_array_equal(np.sort(entries), theta)


def test_a_token_holds_what_touches_its_unit():
  layout = Layout(SPECS["two hidden layers"])
  spec = layout.spec
  theta = jnp.arange(spec.size, dtype=jnp.float32)
  layers = spec.layers(theta)
  (first, second), edges, shared = layout.split(theta)
  assert set(first[2].tolist()) == {*layers["layer_0/kernel"][:, 2].tolist(), float(layers["layer_0/bias"][2])}
  assert set(second[1].tolist()) == {*layers["layer_2/kernel"][1].tolist(), float(layers["layer_1/bias"][1])}
  np.testing.assert_array_equal(edges[0, 1][..., 0], layers["layer_1/kernel"])
  np.testing.assert_array_equal(shared, layers["layer_2/bias"])


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"width": 0}, "^width: 0 is less than 1"),
    ({"edge_rank": 0}, "^edge_rank: 0 is less than 1"),
    ({"heads": 5}, "^width: 12 is not a multiple of the 5 heads"),
  ],
)
def test_impossible_configurations_are_named(change, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(CONFIG, **change)


def test_a_parameter_along_three_hidden_layers_is_refused():
  tree = {"core": {"kernel": shape(2, 3, 5)}}
  layers = [HiddenLayer(units, (("core/kernel", axis),)) for axis, units in enumerate((2, 3, 5))]
  with pytest.raises(ValueError, match="core/kernel lies along 3 hidden layers; at most two"):
    Layout(ParameterSpec.of(tree, layers))
