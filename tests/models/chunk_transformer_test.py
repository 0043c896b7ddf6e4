"""The paper's transformer: parity with the public release, and what its tokens hold."""

import dataclasses
import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.interop.release_state import config_of_state, flax_parameters
from g_pt.models.chunk_transformer import (
  SPLIT_POLICIES,
  ChunkTransformer,
  ChunkTransformerConfig,
  scalar_features,
  split,
  token_sizes,
)
from g_pt.parameters import ParameterSpec

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
CASES = ("gpt_mnist_tiny", "gpt_cartpole_tiny")
MNIST = (7840, 10, 100, 10)
CIFAR10 = (432, 4608, 320, 10)
CARTPOLE = (128, 32, 1024, 32, 64, 2)
SIZES = (11, 3, 5)  # layers of the small networks below
SMALL = ChunkTransformerConfig(width=6, depth=1, heads=2, chunk_size=7, frequencies=5, max_log2_frequency=3.0)


def spec_of(sizes):
  """A network whose layers have these sizes, in this order."""
  return ParameterSpec.of({f"layer_{i}": jax.ShapeDtypeStruct((size,), jnp.float32) for i, size in enumerate(sizes)})


def golden(case):
  """(the release's configuration, its weights by name, everything else) of one case."""
  arrays = dict(np.load(GOLDEN / f"{case}.npz"))
  state = {name.removeprefix("state/"): arrays.pop(name) for name in list(arrays) if name.startswith("state/")}
  return json.loads(str(arrays.pop("config"))), state, arrays


def small_inputs(batch=3):
  keys = jax.random.split(jax.random.key(1), 4)
  noised, start = (jax.random.normal(key, (batch, sum(SIZES))) for key in keys[:2])
  start_metric, prompt = (jax.random.uniform(key, (batch,)) for key in keys[2:])
  return noised, start, jnp.linspace(0.0, 2.0, batch), start_metric, prompt


def small_model(config=SMALL, residual=True):
  """A small model and weights for it of which none is zero."""
  model = ChunkTransformer(spec_of(SIZES), config, residual)
  shapes = jax.eval_shape(model.init, jax.random.key(0), *small_inputs())
  leaves, treedef = jax.tree.flatten(shapes)
  keys = jax.random.split(jax.random.key(2), len(leaves))
  return model, treedef.unflatten([0.4 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves)])


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_release(case):
  theirs, state, arrays = golden(case)
  sizes = theirs["parameter_sizes"]
  config = config_of_state(state, sizes, theirs["n_head"])
  weights = flax_parameters(state, config)
  inputs = [arrays[f"in/{name}"] for name in ("x", "x_prev", "t", "loss_prev", "loss_target")]
  out = jax.jit(ChunkTransformer(spec_of(sizes), config).apply)(weights, *inputs)
  np.testing.assert_allclose(out, arrays["out/y"], rtol=1e-5, atol=1e-6)
  # Without the start, which is ten times as large as what the network adds.
  added = jax.jit(ChunkTransformer(spec_of(sizes), config, residual=False).apply)(weights, *inputs)
  np.testing.assert_allclose(added, arrays["out/y"] - arrays["in/x_prev"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_configuration_is_read_off_the_release_s_weights(case):
  theirs, state, _ = golden(case)
  config = config_of_state(state, theirs["parameter_sizes"], theirs["n_head"])
  assert (config.width, config.depth, config.heads) == (theirs["n_embd"], theirs["n_layer"], theirs["n_head"])
  assert (config.encoder_depth, config.decoder_depth) == (theirs["encoder_depth"], theirs["decoder_depth"])
  assert config.split_policy == theirs["split_policy"]
  assert config.absolute_metrics == theirs["absolute_loss_conditioning"]
  assert (config.frequencies, config.max_log2_frequency) == (theirs["num_frequencies"], theirs["max_freq_log2"])
  if config.split_policy == "chunk_within_layer":
    assert config.chunk_size == theirs["chunk_size"]
  np.testing.assert_array_equal(np.float32(config.frequency_values), state["scalar_embedder.frequencies"])


def release_state(config, sizes):
  """Weights under the release's names and of its shapes, all zero."""
  inputs, outputs = token_sizes(sizes, config)
  d, state = config.width, {}

  def linear(name, rows, columns, bias=True):
    state[f"{name}.weight"] = np.zeros((rows, columns), np.float32)
    if bias:
      state[f"{name}.bias"] = np.zeros(rows, np.float32)

  def norm(name):
    state[f"{name}.weight"], state[f"{name}.bias"] = np.zeros(d, np.float32), np.zeros(d, np.float32)

  state["decoder.pos_emb"] = np.zeros((1, len(inputs), d), np.float32)
  state["scalar_embedder.frequencies"] = np.exp2(np.linspace(0, config.max_log2_frequency, config.frequencies))
  norm("decoder.ln_in"), norm("decoder.ln_f")
  for i in range(config.depth):
    norm(f"decoder.blocks.{i}.ln1"), norm(f"decoder.blocks.{i}.ln2")
    for name in ("key", "query", "value", "proj"):
      linear(f"decoder.blocks.{i}.attn.{name}", d, d)
    linear(f"decoder.blocks.{i}.mlp.0", 4 * d, d), linear(f"decoder.blocks.{i}.mlp.2", d, 4 * d)
  for token, size in enumerate(inputs):
    for layer in range(config.encoder_depth):
      linear(f"decoder.input_parameter_projections.{token}.{2 * layer}", d, d if layer else size, bias=False)
  for token, size in enumerate(outputs):
    for layer in range(config.decoder_depth):
      rows = size if layer == config.decoder_depth - 1 else d
      linear(f"decoder.output_parameter_projections.{token}.{2 * layer}", rows, d, bias=False)
  return state


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize(
  ("policy", "chunk_size"), [("chunk", 7), ("chunk", 23), ("layer_by_layer", 11), ("chunk_within_layer", 7)]
)
def test_release_weights_of_any_configuration_fit(policy, chunk_size, absolute):
  sizes = {"split_policy": policy, "chunk_size": chunk_size, "encoder_depth": 3, "decoder_depth": 2, "depth": 2}
  config = dataclasses.replace(SMALL, absolute_metrics=absolute, **sizes)
  state = release_state(config, SIZES)
  found = config_of_state(state, SIZES, heads=2)
  assert found == dataclasses.replace(config, frequency_values=found.frequency_values)
  shapes = jax.eval_shape(ChunkTransformer(spec_of(SIZES), found).init, jax.random.key(0), *small_inputs())
  weights = flax_parameters(state, found)
  assert jax.tree.map(np.shape, weights) == jax.tree.map(lambda leaf: leaf.shape, shapes)


def test_release_weights_that_do_not_fit_are_named():
  state = release_state(SMALL, SIZES)
  with pytest.raises(ValueError, match=r"do not cut layers of \[11, 4, 5\]"):
    config_of_state(state, (11, 4, 5), heads=2)
  for name in ("decoder.input_parameter_projections.0.0.weight", "scalar_embedder.frequencies", "decoder.pos_emb"):
    with pytest.raises(ValueError, match=f"there is no {name}"):
      config_of_state({key: state[key] for key in state if key != name}, SIZES, heads=2)
  with pytest.raises(ValueError, match="no place for decoder.head.weight"):
    flax_parameters(state | {"decoder.head.weight": np.zeros(3)}, SMALL)
  del state["decoder.blocks.0.attn.key.bias"]
  with pytest.raises(ValueError, match="no decoder.blocks.0.attn.key.bias"):
    flax_parameters(state, SMALL)


@pytest.mark.parametrize(
  ("sizes", "config", "millions"),
  [
    (MNIST, ChunkTransformerConfig(), 378),
    (CIFAR10, ChunkTransformerConfig(width=2048, chunk_size=576), 639),
    (CIFAR10, ChunkTransformerConfig(width=2048, chunk_size=576, encoder_depth=3), 858),
  ],
)
def test_has_the_published_number_of_weights(sizes, config, millions):
  vector, scalar = jnp.zeros((1, sum(sizes))), jnp.zeros((1,))
  model = ChunkTransformer(spec_of(sizes), config)
  shapes = jax.eval_shape(model.init, jax.random.key(0), vector, vector, scalar, scalar, scalar)
  assert round(sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)) / 1e6) == millions


@pytest.mark.parametrize("policy", SPLIT_POLICIES)
@pytest.mark.parametrize("residual", [True, False])
def test_a_new_model_adds_nothing(policy, residual):
  inputs = small_inputs()
  config = dataclasses.replace(SMALL, split_policy=policy, decoder_depth=2)
  x0, _ = jax.jit(ChunkTransformer(spec_of(SIZES), config, residual).init_with_output)(jax.random.key(0), *inputs)
  np.testing.assert_array_equal(x0, inputs[1] if residual else jnp.zeros_like(x0))


@pytest.mark.parametrize(
  ("policy", "outputs", "scalars"),
  [
    # 2 x 19 + 4 x 11 entries, cut anywhere
    ("chunk", [7, 7, 5], None),
    ("layer_by_layer", [11, 3, 5], [11] * 4),
    ("chunk_within_layer", [7, 4, 3, 5], [11] * 4),
  ],
)
def test_policies_cut_where_they_should(policy, outputs, scalars):
  config = dataclasses.replace(SMALL, split_policy=policy)
  found_inputs, found_outputs = token_sizes(SIZES, config)
  assert found_outputs == outputs
  assert found_inputs == ([7] * 11 + [5] if scalars is None else outputs + outputs + scalars)


@pytest.mark.parametrize("policy", SPLIT_POLICIES)
@pytest.mark.parametrize(
  ("sizes", "chunk_size"), [(SIZES, 7), ((7, 14), 7), ((1,), 7), (SIZES, 1), (MNIST, 1000), (CARTPOLE, 2048)]
)
def test_tokens_join_to_the_vector_they_were_cut_from(policy, sizes, chunk_size):
  inputs, outputs = token_sizes(sizes, dataclasses.replace(SMALL, split_policy=policy, chunk_size=chunk_size))
  assert min(inputs + outputs) >= 1
  for cut, total in ((outputs, sum(sizes)), (inputs, 2 * sum(sizes) + 4 * SMALL.scalar_features)):
    vector = jnp.arange(2.0 * total).reshape(2, total)
    tokens = split(vector, cut)
    assert [token.shape[1] for token in tokens] == cut
    np.testing.assert_array_equal(jnp.concatenate(tokens, axis=1), vector)


@pytest.mark.parametrize("policy", SPLIT_POLICIES)
def test_every_input_of_an_example_and_no_other_example_matters(policy):
  model, weights = small_model(dataclasses.replace(SMALL, split_policy=policy), residual=False)
  inputs = small_inputs()

  def first(*inputs):
    return jnp.sum(model.apply(weights, *inputs)[0] * jnp.arange(1.0, 1 + sum(SIZES)))

  for gradient in jax.jit(jax.grad(first, argnums=range(5)))(*inputs):
    assert np.all(gradient[0] != 0.0)
    assert np.all(gradient[1:] == 0.0)


@pytest.mark.parametrize("policy", SPLIT_POLICIES)
def test_gradient_touches_every_weight(policy):
  config = dataclasses.replace(SMALL, split_policy=policy, encoder_depth=2, decoder_depth=2)
  model, weights = small_model(config)
  inputs = small_inputs()
  gradient = jax.jit(jax.grad(lambda weights: jnp.sum(jnp.sin(model.apply(weights, *inputs)))))(weights)
  for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    if name.endswith("qkv/bias"):
      leaf = np.delete(leaf, np.s_[config.width : 2 * config.width])  # a key's, the same for all, softmax takes away
    assert np.all(np.abs(leaf) > 1e-9), name


def test_without_absolute_metrics_their_difference_alone_matters():
  noised, start, timestep, start_metric, prompt = small_inputs()
  # Multiples of 1/8, so that the differences are the same to the last bit.
  start_metric, prompt = jnp.round(start_metric * 8) / 8, jnp.round(prompt * 8) / 8
  for absolute in (True, False):
    model, weights = small_model(dataclasses.replace(SMALL, absolute_metrics=absolute))
    apply = jax.jit(model.apply)
    here = apply(weights, noised, start, timestep, start_metric, prompt)
    there = apply(weights, noised, start, timestep, start_metric + 1.0, prompt + 1.0)
    assert bool(np.allclose(here, there, atol=1e-6)) is not absolute


def test_deep_encoders_and_decoders_have_a_gelu_between_linear_layers():
  model, weights = small_model(dataclasses.replace(SMALL, encoder_depth=2, decoder_depth=2))
  _, state = model.apply(weights, *small_inputs(), capture_intermediates=True, mutable=["intermediates"])
  erf = np.vectorize(math.erf)
  for kind in ("encode", "decode"):
    first = np.asarray(state["intermediates"][f"{kind}_1_0"]["__call__"][0], np.float64)
    second = state["intermediates"][f"{kind}_1_1"]["__call__"][0]
    exact = first * 0.5 * (1.0 + erf(first / math.sqrt(2.0)))
    np.testing.assert_allclose(second, exact @ weights["params"][f"{kind}_1_1"]["kernel"], rtol=1e-4, atol=1e-5)


def test_scalar_features_keep_the_phase_of_late_timesteps():
  config, timestep = ChunkTransformerConfig(), np.float32([0.0, 1.0, 500.0, 999.0])
  frequencies = np.exp2(np.linspace(0.0, 14.0, 128)).astype(np.float32)
  angle = (timestep[:, None] * frequencies).astype(np.float64)
  expected = np.concatenate([np.sin(angle), np.cos(angle), timestep[:, None]], axis=1)
  for features in (scalar_features, jax.jit(scalar_features, static_argnums=1)):
    np.testing.assert_allclose(features(jnp.asarray(timestep), config), expected, atol=1e-6)
  given = dataclasses.replace(config, frequency_values=(3.0,) * 128)
  found = scalar_features(jnp.ones(1), given)[0, np.array([5, 133, 256])]
  np.testing.assert_allclose(found, [np.sin(3.0), np.cos(3.0), 1.0], rtol=1e-6)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"split_policy": "by_name"}, "^split_policy: unknown 'by_name'; it is one of: chunk, layer_by_layer"),
    ({"chunk_size": 0}, "^chunk_size: 0 is less than 1"),
    ({"encoder_depth": 0}, "^encoder_depth: 0 is less than 1"),
    ({"decoder_depth": 0}, "^decoder_depth: 0 is less than 1"),
    ({"depth": 0}, "^depth: 0 is less than 1"),
    ({"max_log2_frequency": float("nan")}, "^max_log2_frequency: nan is not a finite number"),
    ({"heads": 4}, "^width: 6 is not a multiple of the 4 heads"),
    ({"frequency_values": (1.0,)}, "^frequency_values: 1 values, not 5"),
  ],
)
def test_impossible_configurations_are_named(change, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(SMALL, **change)


def stacked(weights, depth):
  """Weights of blocks one by one -> those of a model that scans."""
  params = dict(weights["params"])
  blocks = [params.pop(f"block_{i}") for i in range(depth)]
  return {"params": params | {"blocks": jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)}}


@pytest.mark.parametrize("changes", [{"scan": True}, {"remat": True}, {"scan": True, "remat": True}], ids=str)
def test_how_blocks_are_run_changes_no_number(changes):
  one_by_one = dataclasses.replace(SMALL, depth=3)
  model, weights = small_model(one_by_one)
  other = ChunkTransformer(spec_of(SIZES), dataclasses.replace(one_by_one, **changes))
  theirs = stacked(weights, 3) if other.config.scan else weights
  shapes = jax.eval_shape(other.init, jax.random.key(0), *small_inputs())
  assert jax.tree.map(jnp.shape, theirs) == jax.tree.map(jnp.shape, shapes)

  def loss(model, weights):
    return jnp.sum(model.apply(weights, *small_inputs()) ** 2)

  value, gradient = jax.jit(jax.value_and_grad(lambda w: loss(model, w)))(weights)
  found, theirs = jax.jit(jax.value_and_grad(lambda w: loss(other, w)))(theirs)
  np.testing.assert_allclose(found, value, rtol=1e-6)
  gradient = stacked(gradient, 3) if other.config.scan else gradient
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), theirs, gradient)


def test_in_bfloat16_weights_and_what_comes_out_stay_float32():
  model, weights = small_model(dataclasses.replace(SMALL, depth=2))
  half = ChunkTransformer(model.spec, dataclasses.replace(model.config, dtype="bfloat16"))
  shapes = jax.eval_shape(half.init, jax.random.key(0), *small_inputs())
  assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}
  exact, found = (jax.jit(m.apply)(weights, *small_inputs()) for m in (model, half))
  assert found.dtype == jnp.float32
  error = np.abs(found - exact).max() / np.abs(exact).max()
  assert 1e-5 < error < 0.03
