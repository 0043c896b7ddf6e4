"""Networks for one data set go to what diffusion sees and back, and hidden units may change places all the way."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.corpus.family_statistics import scale_of
from g_pt.corpus.pairs import Pairs
from g_pt.diffusion.schedule import make_schedule
from g_pt.family_generator import FamilyGenerator
from g_pt.generator import SampleConfig
from g_pt.models.class_transformer import ClassTransformer
from g_pt.parameters.symmetry import permutation_index, random_permutations
from g_pt.parameters.units import DIFFUSED_STD
from g_pt.tasks import classifiers, family
from g_pt.tasks.graph import Graph
from g_pt.tasks.layers import flat_of, layers_of
from tests.models.class_transformer_test import CONFIG, PIXELS, told_of

CLASSES, NETWORKS = 3, 6
METRICS = "test_loss", "test_error"
TOLD = told_of(CLASSES)[1]
BY = jnp.array([0.0, 1.0])
SAMPLE = SampleConfig(steps=3)


def task_of(toy, classes=CLASSES):
  """An MLP 9-4-3, or with other classes."""
  return classifiers.task(
    name="units",
    classifier=family.networks.MLP((4, classes)),
    hidden_layers=family.networks.mlp_hidden_layers((4, classes)),
    input_shape=(PIXELS,),
    load=lambda data_dir: None,
    metrics=toy.measurement.metrics,
    recipe=toy.training.recipe,
  )


def generator_of(task):
  scale = Graph(jnp.full((1, 1, 3), 0.5), jnp.full((1, 2), 0.3), jnp.full((1,), 0.2))
  module = ClassTransformer(CONFIG, scale)
  metrics = tuple(task.metric(name) for name in METRICS)
  return FamilyGenerator(task.spec, metrics, module, make_schedule("cosine", 100), scale)


@pytest.fixture(scope="module")
def generator(toy):
  return generator_of(task_of(toy))


@pytest.fixture(scope="module")
def weights(generator):
  """None of them 0."""
  leaves, form = jax.tree.flatten(jax.jit(generator.init)(jax.random.key(0)))
  rng = np.random.default_rng(2)
  return jax.tree.unflatten(form, [x + jnp.float32(0.1 * rng.normal(size=x.shape)) for x in leaves])


def theta(generator, seed):
  return 0.3 * jax.random.normal(jax.random.key(seed), (NETWORKS, generator.spec.size))


def pairs(generator):
  return Pairs(theta(generator, 1), theta(generator, 2), jnp.linspace(1, 2, NETWORKS), jnp.linspace(0.2, 1, NETWORKS))


def test_what_can_be_said_of_a_change_comes_back(generator):
  start, target = theta(generator, 1), theta(generator, 2)
  x0 = generator.encode(target, start, TOLD)
  said = generator.decode(x0, start, TOLD)
  np.testing.assert_allclose(generator.encode(said, start, TOLD), x0, atol=2e-3)
  layers, wanted = layers_of(generator.spec, said), layers_of(generator.spec, target)
  np.testing.assert_allclose(layers.outgoing, wanted.outgoing, atol=1e-5)
  np.testing.assert_allclose(flat_of(generator.spec, wanted), target)


def test_the_scale_brings_every_kind_of_number_to_one_size(generator):
  start, target = theta(generator, 1), theta(generator, 2)
  unscaled = Graph(jnp.ones((1, 1, 3)), jnp.ones((1, 2)), jnp.ones(1))
  plain = dataclasses.replace(generator, scale=unscaled)
  changes = plain._graphs(plain.encode(target, start, TOLD), 4, CLASSES)
  scaled = jax.tree.map(lambda x, size: x / size[None], changes, scale_of(changes))
  for kind in (scaled.edge[..., 0], scaled.edge[..., 2], scaled.unit[..., 0], scaled.unit[..., 1], scaled.output):
    assert np.sqrt(np.mean(np.square(kind))) == pytest.approx(DIFFUSED_STD, rel=1e-4)


def test_loss_and_samples_keep_the_order_of_hidden_units(generator, weights):
  spec = generator.spec
  order = permutation_index(spec, random_permutations(spec, jax.random.key(5)))
  noise = jax.random.normal(jax.random.key(6), (NETWORKS, 4 * CLASSES * 3 + 4 * 2 + CLASSES))
  metric, key = jnp.ones(NETWORKS), jax.random.key(7)
  moved = random_permutations(spec, jax.random.key(5))[0]

  @jax.jit
  def sampled(theta, noise):
    return generator.update(SAMPLE, weights, theta, 2 * metric, metric / 2, key, noise, TOLD, BY)

  graphs = generator._graphs(noise, 4, CLASSES)
  permuted = Graph(graphs.edge[:, moved], graphs.unit[:, moved], graphs.output)
  flat = jax.vmap(lambda g: jnp.concatenate([jnp.ravel(x) for x in g]))(permuted)
  start = theta(generator, 1)
  np.testing.assert_allclose(sampled(start[:, order], flat), sampled(start, noise)[:, order], rtol=1e-3, atol=2e-4)


def test_the_loss_is_of_the_linear_guess_until_something_is_learned(generator):
  weights = jax.jit(generator.init)(jax.random.key(0))
  drawn = pairs(generator)
  loss, estimate = jax.jit(generator.denoising_loss)(weights, drawn, jax.random.key(3), TOLD, BY)
  assert loss.shape == (NETWORKS,) and estimate.shape == drawn.target.shape
  assert np.isfinite(loss).all() and np.isfinite(estimate).all()
  mean = jax.jit(jax.grad(lambda w: generator.denoising_loss(w, drawn, jax.random.key(3), TOLD, BY)[0].mean()))
  gradient = mean(weights)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))
  assert max(float(np.abs(x).max()) for x in jax.tree.leaves(gradient)) > 1e-4


def test_of_half_of_the_pairs_the_model_sees_what_it_has_made_itself(generator, weights):
  """What it estimates of these knows nothing of their targets' weights; of the others it has seen them, under noise."""
  drawn = pairs(generator)
  other = drawn._replace(target=theta(generator, 8))
  estimate = jax.jit(lambda drawn: generator.denoising_loss(weights, drawn, jax.random.key(3), TOLD, BY)[1])
  apart = np.abs(estimate(drawn) - estimate(other)).max(axis=1)
  half = NETWORKS // 2
  assert (apart[:half] == 0).all() and (apart[half:] > 1e-3).all()
