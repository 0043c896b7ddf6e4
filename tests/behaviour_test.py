"""Networks that do the same are the same to it; others are as far apart as their outputs say."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import rel_entr, softmax

from g_pt.behaviour import Behaviour, divergence
from g_pt.corpus.pairs import Pairs
from g_pt.corpus.prepare import Statistics
from g_pt.generator import DiffusionConfig, build
from g_pt.models.neuron_transformer import NeuronTransformerConfig

NETWORKS = 6


@pytest.fixture(scope="module")
def networks(toy):
  """Two stacks of random networks."""
  init = jax.vmap(lambda key: toy.spec.flatten(toy.init(key)))
  return 3.0 * init(jax.random.split(jax.random.key(0), 2 * NETWORKS)).reshape(2, NETWORKS, -1)


def test_divergence_is_scipy_s():
  a, b = np.random.default_rng(0).normal(size=(2, 20, 4, 3)).astype(np.float32)
  expected = rel_entr(softmax(a, axis=1), softmax(b, axis=1)).sum(axis=1).mean(axis=0)
  np.testing.assert_allclose(divergence(jnp.asarray(a), jnp.asarray(b)), expected, rtol=1e-4)
  assert np.isfinite(divergence(jnp.asarray(1e4 * a), jnp.asarray(1e4 * b))).all()


def test_logits_are_each_network_s_own(toy, networks):
  behaviour, inputs = Behaviour(toy, 1.0, 9), toy.inputs(toy.load(None), jax.random.key(1), 9)
  logits = behaviour.logits(networks[0], inputs)
  assert logits.shape == (9, 3, NETWORKS)
  for i, theta in enumerate(networks[0]):
    np.testing.assert_allclose(logits[:, :, i], toy.forward(toy.spec.unflatten(theta), inputs), rtol=1e-5, atol=1e-5)
  by_vmap = Behaviour(dataclasses.replace(toy, group_forward=None), 1.0, 9)
  np.testing.assert_allclose(by_vmap.logits(networks[0], inputs), logits, rtol=1e-5, atol=1e-5)


def test_only_what_networks_do_counts(toy, networks):
  start, other = networks
  behaviour, data, key = Behaviour(toy, 2.0, 30), toy.load(None), jax.random.key(2)
  swapped = start[:, toy.spec.permutation_index([jnp.array([4, 2, 0, 1, 3])])]
  assert np.abs(swapped - start).max() > 0.1
  np.testing.assert_allclose(behaviour.loss(start, swapped, data, key), 0.0, atol=1e-5)
  apart = behaviour.loss(start, other, data, key)
  assert (apart > 0.05).all()
  np.testing.assert_allclose(Behaviour(toy, 1.0, 30).loss(start, other, data, key), apart / 2, rtol=1e-6)


def test_a_generator_s_loss_has_it_beside_the_error_of_weights(toy, networks):
  std = {name: 0.3 for name in toy.spec.names}
  statistics = Statistics(std, std, 0.1, 2.0, 10, 2, 0, 5, 0.2)
  start, target = networks
  pairs, data = Pairs(start, target, jnp.ones(NETWORKS), jnp.ones(NETWORKS)), toy.load(None)
  tiny = NeuronTransformerConfig(width=8, depth=1, heads=2, frequencies=4)

  def loss(weight, target=target):
    config = DiffusionConfig(variable="update", behaviour=weight, behaviour_inputs=16)
    generator = build(toy, "test_loss", tiny, config, statistics)
    weights = generator.init(jax.random.key(0))  # which leaves every network as it was
    return float(generator.loss(weights, pairs._replace(target=target), jax.random.key(1), data))

  assert loss(1.0) > loss(0.0) + 0.05
  np.testing.assert_allclose(loss(3.0) - loss(0.0), 3 * (loss(1.0) - loss(0.0)), rtol=1e-4)
  np.testing.assert_allclose(loss(3.0, start), loss(0.0, start), atol=1e-3)


def test_what_it_cannot_compare_is_refused(toy):
  with pytest.raises(ValueError, match="diffusion.behaviour: the task 'toy' has no inputs"):
    Behaviour(dataclasses.replace(toy, inputs=None), 1.0, 9)
  with pytest.raises(ValueError, match="diffusion.behaviour: for diffusion.prediction=x0 alone, not noise"):
    DiffusionConfig(behaviour=1.0, prediction="noise")
  with pytest.raises(ValueError, match="diffusion.behaviour: -1.0 is less than 0"):
    DiffusionConfig(behaviour=-1.0)
  with pytest.raises(ValueError, match="diffusion.behaviour_inputs: 0 is less than 1"):
    DiffusionConfig(behaviour_inputs=0)
