"""A trained G.pt in one call: shapes, keys, refusals and warnings, and nothing compiled twice."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.errors import UserError
from g_pt.generator import SampleConfig

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def network(gpt):
  return jax.jit(gpt.init)(jax.random.key(8))


@pytest.fixture(scope="module")
def networks(gpt):
  """Three, stacked."""
  return jax.jit(jax.vmap(gpt.init))(jax.random.split(jax.random.key(9), 3))


@pytest.fixture(scope="module")
def prompt(gpt):
  """A metric that the corpus covers."""
  return sum(gpt.statistics.prompt_range) / 2


def shapes(tree):
  return tuple(leaf.shape for leaf in jax.tree.leaves(tree))


def assert_same(found, wanted):
  jax.tree.map(np.testing.assert_array_equal, found, wanted)


@pytest.mark.parametrize(
  ("batch", "samples", "leading"),
  [(False, 1, ()), (False, 2, (2,)), (True, 1, (3,)), (True, 2, (3, 2))],
)
def test_axes_of_networks_and_samples_come_first(gpt, network, networks, prompt, batch, samples, leading):
  updated = gpt.sample(networks if batch else network, prompt, key=KEY, num_samples=samples)
  assert jax.tree.structure(updated) == gpt.task.spec.treedef
  assert shapes(updated) == tuple((*leading, *shape) for shape in gpt.task.spec.shapes)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(updated))


def test_samples_differ_from_each_other_and_from_their_start(gpt, networks, prompt):
  updated = jax.device_get(gpt.sample(networks, prompt, key=KEY, num_samples=2))
  kernel, start = updated["layer_0"]["kernel"], np.asarray(networks["layer_0"]["kernel"])
  assert np.abs(kernel[:, 0] - kernel[:, 1]).max() > 1e-4
  assert np.abs(kernel[:, 0] - start).max() > 1e-4


def test_each_network_s_samples_are_its_own(gpt, networks, prompt):
  """A model whose weights are 0 proposes no update."""
  silent = dataclasses.replace(gpt, weights=jax.tree.map(jnp.zeros_like, gpt.weights))
  updated = silent.sample(networks, prompt, key=KEY, num_samples=2)
  jax.tree.map(lambda u, n: np.testing.assert_array_equal(u, np.stack([n, n], axis=1)), updated, networks)


def test_the_same_key_gives_the_same_networks(gpt, network, prompt):
  first, again, other = (gpt.sample(network, prompt, key=key) for key in (KEY, KEY, jax.random.key(4)))
  assert_same(first, again)
  assert np.abs(first["layer_0"]["kernel"] - other["layer_0"]["kernel"]).max() > 1e-5


def test_a_second_call_compiles_nothing(gpt, networks, prompt, caplog):
  gpt.sample(networks, prompt, key=KEY, num_samples=2)
  with jax.log_compiles():
    gpt.sample(networks, [prompt, 0.9 * prompt, 1.1 * prompt], key=jax.random.key(77), num_samples=2)
  assert not [record.getMessage() for record in caplog.records if "ompil" in record.getMessage()]


def test_a_sample_is_the_generator_s_update(gpt, networks, prompt):
  """Measured metric, one prompt a network, steps of the caller: what `sample` hands on."""
  prompts = np.float32([0.5, 1.0, 1.5]) * np.float32(prompt)
  theta = jax.vmap(gpt.task.spec.flatten)(networks)
  own = gpt.measure(networks)
  noise = gpt.noise(jax.random.split(KEY)[0], 3)
  expected = gpt.generator.update(
    SampleConfig("ddim", 2), gpt.weights, theta, own, jnp.asarray(prompts), jax.random.key(9), noise
  )
  updated = gpt.sample(networks, prompts, key=KEY, steps=2)
  np.testing.assert_allclose(jax.vmap(gpt.task.spec.flatten)(updated), expected, rtol=1e-4, atol=1e-5)
  assert_same(gpt.sample(networks, prompts, key=KEY, steps=2, metric=own), updated)
  changed = gpt.sample(networks, prompts, key=KEY, steps=2, metric=own / 2)
  assert np.abs(changed["layer_0"]["kernel"] - updated["layer_0"]["kernel"]).max() > 1e-6


def test_measuring_is_the_task_s_evaluation(gpt, network, networks):
  for part in ("recorded", "final", "whole"):
    judged = gpt.task.measurement.part(gpt.data, gpt.recipe, part)
    numbers = jax.jit(gpt.task.measurement.evaluate)(jax.tree.map(lambda x: x[..., None], network), judged)
    assert set(gpt.measure_all(network, part)) == set(numbers)
    np.testing.assert_allclose(gpt.measure(network, part), numbers["test_loss"][0], rtol=1e-5)
    assert gpt.measure(network, part).shape == () and gpt.measure(networks, part).shape == (3,)
  assert gpt.measure(network, "final") != gpt.measure(network)
  with pytest.raises(UserError, match="part: unknown 'test'; it is one of: recorded, final, whole"):
    gpt.measure(network, "test")


def test_sampling_by_a_given_metric_needs_no_data(gpt, network, prompt):
  """As on a machine where the data set is not."""

  def missing():
    raise UserError("no data here")

  blind = dataclasses.replace(gpt, load_data=missing)
  assert_same(blind.sample(network, prompt, key=KEY, metric=2.0), gpt.sample(network, prompt, key=KEY, metric=2.0))
  with pytest.raises(UserError, match="no data here"):
    blind.sample(network, prompt, key=KEY)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), [0.5, -np.inf, 0.5]])
def test_a_prompt_or_metric_that_is_not_finite_is_refused(gpt, networks, prompt, bad):
  with pytest.raises(UserError, match="^prompt: .* is not finite$"):
    gpt.sample(networks, bad, key=KEY)
  with pytest.raises(UserError, match="^metric: .* is not finite$"):
    gpt.sample(networks, prompt, key=KEY, metric=bad)


def test_a_prompt_or_count_that_does_not_fit_is_refused(gpt, networks, prompt):
  with pytest.raises(UserError, match=r"prompt: one number or one for each of 3 networks is needed, not shape \(2,\)"):
    gpt.sample(networks, [prompt, prompt], key=KEY)
  with pytest.raises(UserError, match="prompt: 'low' is not a number or an array of them"):
    gpt.sample(networks, "low", key=KEY)
  with pytest.raises(UserError, match="num_samples: 0 is less than 1"):
    gpt.sample(networks, prompt, key=KEY, num_samples=0)
  for steps in (0, 5000):
    with pytest.raises(UserError, match=f"steps: {steps} is not between 1 and the 1000 of the diffusion"):
      gpt.sample(networks, prompt, key=KEY, steps=steps)


def test_networks_of_other_shapes_are_refused(gpt, network, prompt):
  narrow = jax.tree.map(lambda x: x[..., :-1], network)
  for other in (narrow, {"layer_0": network["layer_0"]}, network | {"layer_2": network["layer_0"]}):
    with pytest.raises(UserError, match="^parameters: a network of .*layer_0/kernel.* is needed") as error:
      gpt.sample(other, prompt, key=KEY)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("factor", [0.5, 0.99, 1.01, 2.0])
def test_a_prompt_outside_of_what_was_learned_is_clipped_with_a_warning(gpt, network, factor):
  low, high = gpt.statistics.prompt_range
  outside, end = (factor * low, low) if factor < 1 else (factor * high, high)
  learned = f"prompt {outside:.4g}: test_loss was learned from {low:.4g} to {high:.4g}; what lies outside is clipped"
  with pytest.warns(UserWarning, match=learned):
    beyond = gpt.sample(network, outside, key=KEY)
  assert_same(beyond, gpt.sample(network, end, key=KEY))


def test_a_start_longer_than_what_was_learned_is_shortened_with_a_warning(gpt, network, prompt):
  long = jax.tree.map(lambda x: 100 * x, network)
  with pytest.warns(
    UserWarning, match=r"parameters: longer by RMS .*layer_0/kernel \(.* for .*\).*; they are shortened"
  ):
    once = gpt.sample(long, prompt, key=KEY, metric=1.0)
  longer = jax.tree.map(lambda x: 2 * x, long)
  with pytest.warns(UserWarning):
    again = gpt.sample(longer, prompt, key=KEY, metric=1.0)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), once, again)


def test_other_weights_share_what_is_compiled(gpt, network, prompt, caplog):
  theta = gpt.task.spec.flatten(network)[None]
  rows = theta, jnp.ones(1), jnp.full(1, prompt), KEY
  base = gpt.update(*rows)
  doubled = jax.tree.map(lambda w: 2 * w, gpt.weights)
  with jax.log_compiles():
    updated = gpt.update(*rows, weights=doubled)
  assert not [record.getMessage() for record in caplog.records if "ompil" in record.getMessage()]
  assert np.abs(base - updated).max() > 1e-5


def test_the_configured_steps_count(gpt, network, prompt):
  quick = gpt.with_config(SampleConfig("ddim", 2))
  assert_same(quick.sample(network, prompt, key=KEY), gpt.sample(network, prompt, key=KEY, steps=2))
