"""One step of training: the mean over its microbatches, weight decay, and behaviour in the loss."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.corpus.pairs import Pairs, draw_pairs
from g_pt.diffusion.objective import error_difference, loss_difference
from g_pt.keys import fold
from g_pt.parameters.symmetry import permutation_index
from g_pt.tasks import population
from g_pt.train.step import OPTIMIZERS, Asked, behaviour_loss, make_optimizer

NETWORKS = 6


def test_a_step_is_the_mean_over_microbatches(toy, generator, source, fresh, step_of, config):
  step, key = step_of(), jax.random.key(7)
  state = fresh._replace(step=jnp.int32(3), average=jax.tree.map(jnp.zeros_like, fresh.average))
  after, values = jax.jit(step.__call__)(source, key, state, None)

  @jax.jit
  @jax.value_and_grad
  def expected(weights):
    here = fold(key, 3)
    pairs = draw_pairs(source, config.pairs, fold(here, "pairs"), 16)
    keys = jax.random.split(fold(here, "noise"), 2)
    losses = [
      generator.denoising_loss(weights, jax.tree.map(lambda x, part=part: x[part], pairs), k)[0]
      for part, k in zip((slice(8), slice(8, 16)), keys)
    ]
    return jnp.mean(jnp.concatenate(losses))

  loss, gradient = expected(state.weights)
  np.testing.assert_allclose(values["loss"], loss, rtol=1e-5)
  squares = [np.sum(np.square(g)) for g in jax.tree.leaves(jax.device_get(gradient))]
  np.testing.assert_allclose(values["gradient_norm"], np.sqrt(np.sum(squares)), rtol=1e-4)
  assert after.step == 4
  # The average is young: it moves by 1 - (1 + 3) / (10 + 3) of the way.
  after = jax.device_get(after)
  moved = jax.tree.map(lambda weight: weight * (1 - 4 / 13), after.weights)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), after.average, moved)


def test_a_step_is_fixed_by_its_key_and_number(source, fresh, step_of):
  step = jax.jit(step_of().__call__)
  losses = [
    float(step(source, jax.random.key(seed), fresh._replace(step=jnp.int32(number)), None)[1]["loss"])
    for seed, number in ((0, 1), (0, 1), (0, 2), (1, 1))
  ]
  assert losses[0] == losses[1] and len(set(losses)) == 3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_kernels_decay_and_nothing_else(name, config):
  config = dataclasses.replace(config, optimizer=name, weight_decay=0.1, warmup_steps=0)
  weights = {
    "layer": {"kernel": jnp.full((4, 4), 2.0), "bias": jnp.full(4, 2.0)},
    "other": {"kernel": jnp.ones((2, 3)), "positions": jnp.ones((5, 4))},
  }
  optimizer = make_optimizer(config)
  zero = jax.tree.map(jnp.zeros_like, weights)
  updates, _ = jax.jit(lambda: optimizer.update(zero, optimizer.init(weights), weights))()
  np.testing.assert_allclose(updates["layer"]["kernel"], -config.learning_rate * 0.1 * 2.0, rtol=1e-5)
  np.testing.assert_allclose(updates["other"]["kernel"], -config.learning_rate * 0.1, rtol=1e-5)
  np.testing.assert_array_equal(updates["layer"]["bias"], 0.0)
  np.testing.assert_array_equal(updates["other"]["positions"], 0.0)


@pytest.fixture(scope="module")
def networks(toy):
  """Two stacks of random networks."""
  init = jax.vmap(lambda key: toy.spec.flatten(toy.network.init(key)))
  return 3.0 * init(jax.random.split(jax.random.key(0), 2 * NETWORKS)).reshape(2, NETWORKS, -1)


@pytest.fixture(scope="module")
def behaviour(toy, config):
  """(weight, target, estimate, key) -> loss [net]."""
  data = toy.load(None)

  def behaviour(weight, target, estimate, key):
    settings = dataclasses.replace(config, behaviour=weight, behaviour_inputs=30)
    inputs, labels = toy.training.examples(data, key, settings.behaviour_inputs)
    return behaviour_loss(toy, settings, inputs, target, estimate, Asked((), jnp.zeros(0), labels))

  return behaviour


def test_only_what_networks_do_counts(toy, networks, behaviour):
  start, other = networks
  key = jax.random.key(2)
  swapped = start[:, permutation_index(toy.spec, [jnp.array([4, 2, 0, 1, 3])])]
  assert np.abs(swapped - start).max() > 0.1
  np.testing.assert_allclose(behaviour(2.0, start, swapped, key), 0.0, atol=1e-5)
  apart = behaviour(2.0, start, other, key)
  assert apart.shape == (NETWORKS,) and (apart > 0.05).all()
  np.testing.assert_allclose(behaviour(1.0, start, other, key), apart / 2, rtol=1e-6)


def test_each_network_is_compared_with_its_own_target(networks, behaviour):
  start, other = networks
  loss = behaviour(1.0, start, start.at[2].set(other[2]), jax.random.key(2))
  assert loss[2] > 0.05
  np.testing.assert_allclose(np.delete(loss, 2), 0.0, atol=1e-6)


def test_networks_are_compared_in_what_is_asked_for_alone(toy, config, networks):
  """Beside their divergence; the largest difference in the one metric is not that in the other."""
  data, settings = toy.load(None), dataclasses.replace(config, behaviour=1.0)
  inputs, _ = toy.training.examples(data, jax.random.key(2), 30)
  outputs = [toy.network.apply(population.stack(toy.spec, theta), inputs) for theta in networks]
  labels = jnp.arange(30) % outputs[0].shape[1]

  def beside(by):
    asked = Asked(("test_loss", "test_error"), jnp.asarray(by), labels)
    nothing = Asked((), jnp.zeros(0), labels)
    asked_for, divergence = (behaviour_loss(toy, settings, inputs, *networks, what) for what in (asked, nothing))
    return asked_for - divergence

  by_loss, by_error = loss_difference(labels, *outputs), error_difference(labels, *outputs)
  for by, wanted in (((1.0, 0.0), by_loss), ((0.0, 1.0), by_error)):
    found = beside(by)
    np.testing.assert_allclose(found / found.sum(), wanted / wanted.sum(), rtol=1e-3, atol=1e-5)
  assert not np.allclose(by_loss / by_loss.sum(), by_error / by_error.sum(), rtol=0.05)


def test_inputs_are_drawn_anew_by_the_key(networks, behaviour):
  start, other = networks
  first, again, second = (behaviour(1.0, start, other, jax.random.key(seed)) for seed in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  assert (first != second).all()


def test_a_step_s_loss_has_behaviour_beside_the_error_of_weights(toy, networks, step_of, fresh):
  start, target = networks
  pairs, data = Pairs(start, target, jnp.ones(NETWORKS), jnp.ones(NETWORKS)), toy.load(None)
  # Which leaves every network as it was.
  weights = jax.tree.map(jnp.zeros_like, fresh.weights)

  def loss(weight, target=target):
    step = step_of(behaviour=weight, behaviour_inputs=16)
    return float(step.loss(weights, pairs._replace(target=target), jax.random.key(1), data))

  assert loss(1.0) > loss(0.0) + 0.05
  np.testing.assert_allclose(loss(3.0) - loss(0.0), 3 * (loss(1.0) - loss(0.0)), rtol=1e-4)
  np.testing.assert_allclose(loss(3.0, start), loss(0.0, start), atol=1e-3)


def test_what_is_compared_is_the_metric_that_is_prompted(toy, networks, step_of, fresh):
  """A step prompts one metric; its loss is the divergence and the difference in that one."""
  start, target = networks
  pairs, data, key = Pairs(start, target, jnp.ones(NETWORKS), jnp.ones(NETWORKS)), toy.load(None), jax.random.key(1)
  step = step_of(behaviour=1.0, behaviour_inputs=16)
  weights = jax.tree.map(jnp.zeros_like, fresh.weights)
  inputs, labels = toy.training.examples(data, fold(key, "inputs"), 16)
  by = tuple(name for name, metric in toy.measurement.metrics.items() if metric is step.generator.metric)
  assert len(by) == 1
  _, estimate = step.generator.denoising_loss(weights, pairs, key)
  wanted = behaviour_loss(toy, step.config, inputs, target, estimate, Asked(by, jnp.full(1, 4.0), labels)).mean()
  beside = step.loss(weights, pairs, key, data) - step_of().loss(weights, pairs, key, None)
  np.testing.assert_allclose(beside, wanted, rtol=1e-4)


def test_without_behaviour_no_data_are_asked_for(networks, step_of, fresh):
  start, target = networks
  pairs = Pairs(start, target, jnp.ones(NETWORKS), jnp.ones(NETWORKS))
  assert np.isfinite(step_of().loss(fresh.weights, pairs, jax.random.key(1), None))
