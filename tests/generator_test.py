"""G.pt around an oracle: what a model that knows the answer is told, and what its samples decode to."""

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.corpus.pairs import Pairs
from g_pt.corpus.prepare import Statistics
from g_pt.generator import DiffusionConfig, SampleConfig, build
from g_pt.models.neuron_transformer import NeuronTransformerConfig

TINY = NeuronTransformerConfig(width=4, depth=1, heads=2, frequencies=3, edge_rank=2)
NETWORKS, STEPS = 3, 200


class Oracle(nn.Module):
  """Knows x_0 of every network: outputs it, or the noise that is in x_t."""

  x0: jax.Array
  noise_of: jax.Array | None = None  # alpha_bar by timestep, where the noise is asked for

  def __call__(self, noised, start, timestep, start_metric, prompted_metric):
    if self.noise_of is None:
      return self.x0
    alpha_bar = self.noise_of[jnp.round(timestep * STEPS).astype(int)][:, None]
    return (noised - jnp.sqrt(alpha_bar) * self.x0) / jnp.sqrt(1 - alpha_bar)


@pytest.fixture(scope="module")
def statistics(toy):
  """Every layer has a scale of its own."""
  layers = {name: 0.1 * (i + 1) for i, name in enumerate(toy.spec.names)}
  return Statistics(layers, {name: std / 7 for name, std in layers.items()}, 0.1, 2.0, 10, 2, 0, 5, 0.2)


@pytest.fixture(scope="module")
def networks(toy):
  """(start, target) networks, far apart."""
  return jax.random.normal(jax.random.key(0), (2, NETWORKS, toy.spec.size))


def generator_of(toy, statistics, variable, prediction="x0"):
  config = DiffusionConfig(timesteps=STEPS, variable=variable, prediction=prediction)
  return build(toy, "test_loss", TINY, config, statistics)


def knowing(generator, start, target):
  """The generator with an oracle for these networks in place of its model."""
  noise_of = None if generator.objective.prediction == "x0" else jnp.asarray(generator.schedule.alpha_bar, jnp.float32)
  return dataclasses.replace(generator, module=Oracle(generator.variable.encode(target, start), noise_of))


@pytest.mark.parametrize("variable", ["parameters", "update"])
def test_what_is_encoded_is_decoded(toy, statistics, networks, variable):
  start, target = networks
  units = generator_of(toy, statistics, variable).variable
  np.testing.assert_allclose(units.decode(units.encode(target, start), start), target, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("variable", "of"), [("parameters", "start_std"), ("update", "update_std")])
def test_each_layer_is_diffused_at_the_paper_s_spread(toy, statistics, variable, of):
  draws = jax.random.normal(jax.random.key(1), (500, toy.spec.size))
  change = draws * toy.spec.spread(getattr(statistics, of))[None]
  x0 = generator_of(toy, statistics, variable).variable.encode(change, jnp.zeros_like(change))
  for name, part in toy.spec.slices.items():
    np.testing.assert_allclose(x0[:, part].std(), 0.538, rtol=0.1, err_msg=name)


@pytest.mark.parametrize("variable", ["parameters", "update"])
@pytest.mark.parametrize("prediction", ["x0", "noise"])
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_an_oracle_s_samples_are_the_target(toy, statistics, networks, variable, prediction, sampler):
  start, target = networks
  generator = knowing(generator_of(toy, statistics, variable, prediction), start, target)
  metric = jnp.ones(NETWORKS)
  for steps in (1, 6):
    out = generator.update({}, start, metric, metric, jax.random.key(2), SampleConfig(sampler, steps))
    np.testing.assert_allclose(out, target, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("prediction", ["x0", "noise"])
def test_an_oracle_has_no_loss_and_a_new_model_has(toy, statistics, networks, prediction):
  start, target = networks
  generator = generator_of(toy, statistics, "update", prediction)
  pairs = Pairs(start, target, jnp.ones(NETWORKS), jnp.ones(NETWORKS))
  assert knowing(generator, start, target).loss({}, pairs, jax.random.key(3)) < 1e-5
  weights = jax.jit(generator.init)(jax.random.key(0))
  assert jax.jit(generator.loss)(weights, pairs, jax.random.key(3)) > 0.1


class Silent(nn.Module):
  def __call__(self, noised, *rest):
    return jnp.zeros_like(noised)


@pytest.mark.parametrize("variable", ["parameters", "update"])
def test_preconditioning_counts_errors_in_units_of_the_linear_guess_s(toy, statistics, variable):
  """Where updates are Gaussian nothing is better than that guess: a silent model's loss is 1."""
  items = zip(toy.spec.names, toy.spec.shapes)
  sizes = {name: np.full((1,) * len(shape), 0.05 * (i + 1)).tolist() for i, (name, shape) in enumerate(items)}
  config = DiffusionConfig(timesteps=STEPS, variable=variable, precondition=True)
  generator = build(toy, "test_loss", TINY, config, statistics._replace(update_size=sizes))
  start, noise = jax.random.normal(jax.random.key(0), (2, 4000, toy.spec.size))
  scale = toy.spec.spread({name: 0.05 * (i + 1) for i, name in enumerate(toy.spec.names)})
  pairs = Pairs(start, start + noise * scale[None], jnp.ones(4000), jnp.ones(4000))
  silent = dataclasses.replace(generator, module=Silent())
  np.testing.assert_allclose(silent.loss({}, pairs, jax.random.key(3)), 1.0, rtol=0.03)
  # A new model says nothing yet.
  few = jax.tree.map(lambda x: x[:50], pairs)
  weights = jax.jit(generator.init)(jax.random.key(1))
  np.testing.assert_allclose(
    generator.loss(weights, few, jax.random.key(3)), silent.loss({}, few, jax.random.key(3)), rtol=1e-5
  )


def test_preconditioning_needs_the_size_of_updates_and_x0(toy, statistics):
  with pytest.raises(ValueError, match="diffusion.precondition: the corpus's statistics lack"):
    build(toy, "test_loss", TINY, DiffusionConfig(precondition=True), statistics)
  with pytest.raises(ValueError, match="diffusion.precondition: for diffusion.prediction=x0 alone, not noise"):
    DiffusionConfig(precondition=True, prediction="noise")


def test_prompts_beyond_what_was_learned_are_taken_for_its_ends(toy, statistics, networks):
  start, _ = networks
  generator = build(toy, "test_loss", TINY, DiffusionConfig(), statistics._replace(prompt_range=[0.2, 1.5]))
  weights = jax.tree.map(lambda x: x + 0.1, jax.jit(generator.init)(jax.random.key(0)))

  def updated(prompt):
    prompts = jnp.full(NETWORKS, prompt)
    return generator.update(weights, start, jnp.ones(NETWORKS), prompts, jax.random.key(2), SampleConfig(steps=2))

  np.testing.assert_array_equal(updated(0.0), updated(0.2))
  np.testing.assert_array_equal(updated(9.0), updated(1.5))
  assert np.abs(updated(0.2) - updated(1.5)).max() > 1e-4


def test_the_model_is_told_the_metric_s_coordinate_and_the_timestep_as_a_fraction(toy, statistics, networks):
  told = []

  class Listener(nn.Module):
    def __call__(self, *inputs):
      told.append(inputs)
      return inputs[0]

  start, _ = networks
  generator = dataclasses.replace(generator_of(toy, statistics, "update"), module=Listener())
  own, prompt = jnp.array([2.3, 1.0, 0.5]), jnp.array([0.1, 0.2, 0.0])
  generator.loss({}, Pairs(start, start, own, prompt), jax.random.key(0))
  _, seen, timestep, start_metric, prompted = told[0]
  np.testing.assert_allclose(start_metric, np.log(own + 0.02), rtol=1e-6)
  np.testing.assert_allclose(prompted, np.log(prompt + 0.02), rtol=1e-6)
  assert ((timestep >= 0) & (timestep < 1)).all() and np.allclose(np.round(timestep * STEPS), timestep * STEPS)
  np.testing.assert_allclose(seen * toy.spec.spread(statistics.start_std)[None] / 0.538, start, rtol=1e-5)
