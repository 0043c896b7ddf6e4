"""G.pt around an oracle: what a model that knows the answer is told, and what its samples decode to."""

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.corpus.pairs import Pairs
from g_pt.corpus.statistics import PromptRange, StartRange, Statistics
from g_pt.generator import DiffusionConfig, SampleConfig
from g_pt.generator import build as build_generator
from g_pt.models.chunk_transformer import ChunkTransformerConfig
from g_pt.models.neuron_transformer import NeuronTransformerConfig
from g_pt.parameters.units import UnitStatistics

CHUNKS = ChunkTransformerConfig(width=4, depth=1, heads=2, chunk_size=29, frequencies=3, max_log2_frequency=3.0)
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
  """Every array has a scale of its own."""
  std = {name: np.array(0.1 * (i + 1), np.float32) for i, name in enumerate(toy.spec.names)}
  units = UnitStatistics(std, {name: np.asarray(value / 7) for name, value in std.items()})
  return Statistics(units, prompt_range=None, census=None)


@pytest.fixture(scope="module")
def networks(toy):
  """(start, target) networks, far apart."""
  return jax.random.normal(jax.random.key(0), (2, NETWORKS, toy.spec.size))


def build(toy, statistics, diffusion, model=TINY, arrangement=None):
  return build_generator(toy.spec, toy.metric("test_loss"), model, diffusion, statistics, arrangement)


def generator_of(toy, statistics, variable, prediction="x0"):
  return build(toy, statistics, DiffusionConfig(timesteps=STEPS, variable=variable, prediction=prediction))


def sampled(generator, weights, theta, metric, prompts, config):
  """What generator.update gives for one noise."""
  noise = jax.random.normal(jax.random.key(2), (len(theta), generator.units.spec.size))
  return generator.update(config, weights, theta, metric, prompts, jax.random.key(3), noise)


def losses(generator, weights, pairs, key):
  return jax.jit(generator.denoising_loss)(weights, pairs, key)[0]


def knowing(generator, start, target):
  """The generator with an oracle for these networks in place of its model."""
  noise_of = None if generator.prediction == "x0" else jnp.asarray(generator.schedule.alpha_bar, jnp.float32)
  return dataclasses.replace(generator, module=Oracle(generator.units.encode(target, start), noise_of))


@pytest.mark.parametrize("variable", ["parameters", "update"])
@pytest.mark.parametrize("prediction", ["x0", "noise"])
@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_an_oracle_s_samples_are_the_target(toy, statistics, networks, variable, prediction, sampler):
  start, target = networks
  generator = knowing(generator_of(toy, statistics, variable, prediction), start, target)
  metric = jnp.ones(NETWORKS)
  for steps in (1, 6):
    out = sampled(generator, {}, start, metric, metric, SampleConfig(sampler, steps))
    np.testing.assert_allclose(out, target, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("prediction", ["x0", "noise"])
def test_an_oracle_has_no_loss_and_a_new_model_has(toy, statistics, networks, prediction):
  start, target = networks
  generator = generator_of(toy, statistics, "update", prediction)
  pairs = Pairs(start, target, jnp.ones(NETWORKS), jnp.ones(NETWORKS))
  known = losses(knowing(generator, start, target), {}, pairs, jax.random.key(3))
  assert known.shape == (NETWORKS,) and (known < 1e-5).all()
  weights = jax.jit(generator.init)(jax.random.key(0))
  assert (losses(generator, weights, pairs, jax.random.key(3)) > 0.1).all()


@pytest.mark.parametrize("variable", ["parameters", "update"])
def test_the_loss_s_estimate_is_a_network(toy, statistics, networks, variable):
  start, target = networks
  generator = knowing(generator_of(toy, statistics, variable), start, target)
  pairs = Pairs(start, target, jnp.ones(NETWORKS), jnp.ones(NETWORKS))
  _, estimate = generator.denoising_loss({}, pairs, jax.random.key(3))
  np.testing.assert_allclose(estimate, target, rtol=1e-4, atol=1e-5)


class Silent(nn.Module):
  def __call__(self, noised, *rest):
    return jnp.zeros_like(noised)


@pytest.mark.parametrize("variable", ["parameters", "update"])
def test_preconditioning_counts_errors_in_units_of_the_linear_guess_s(toy, statistics, variable):
  """Where updates are Gaussian nothing is better than that guess: a silent model's loss is 1."""
  size = {name: 0.05 * (i + 1) for i, name in enumerate(toy.spec.names)}
  sizes = {n: np.full((1,) * len(shape), size[n], np.float32) for n, shape in zip(toy.spec.names, toy.spec.shapes)}
  measured = statistics._replace(units=statistics.units._replace(update_size=sizes))
  generator = build(toy, measured, DiffusionConfig(timesteps=STEPS, variable=variable, precondition=True))
  start, noise = jax.random.normal(jax.random.key(0), (2, 4000, toy.spec.size))
  pairs = Pairs(start, start + noise * toy.spec.repeated(size)[None], jnp.ones(4000), jnp.ones(4000))
  silent = dataclasses.replace(generator, module=Silent())
  np.testing.assert_allclose(losses(silent, {}, pairs, jax.random.key(3)).mean(), 1.0, rtol=0.03)
  # A new model says nothing yet.
  few = jax.tree.map(lambda x: x[:50], pairs)
  weights = jax.jit(generator.init)(jax.random.key(1))
  found, wanted = (losses(g, w, few, jax.random.key(3)) for g, w in ((generator, weights), (silent, {})))
  np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"precondition": True, "prediction": "noise"}, "precondition: for prediction=x0 alone, not noise"),
    ({"directions": 3}, "directions: 3, but only of variable=update"),
    ({"directions": -1, "variable": "update"}, "directions: -1 is less than 0"),
    ({"timesteps": 0}, "timesteps: 0 is less than 1"),
    ({"scale": -1.0}, "scale: -1.0 is less than 0"),
    ({"prediction": "v"}, "prediction: unknown 'v'; it is one of: x0, noise"),
    ({"schedule": "sigmoid"}, "schedule: unknown 'sigmoid'; it is one of: linear, cosine"),
    ({"variable": "gradient"}, "variable: unknown 'gradient'; it is one of: parameters, update"),
  ],
)
def test_impossible_diffusions_are_named(changes, message):
  with pytest.raises(ValueError, match=f"^{message}"):
    DiffusionConfig(**changes)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"sampler": "heun"}, "sampler: unknown 'heun'; it is one of: ddim, ddpm"),
    ({"steps": 0}, "steps: 0 is less than 1"),
    ({"temperature": -0.1}, "temperature: -0.1 is less than 0"),
    ({"temperature": float("nan")}, "temperature: nan is not a finite number"),
    ({"stop": 1.0}, "stop: 1.0 is not less than 1"),
  ],
)
def test_impossible_ways_to_sample_are_named(changes, message):
  with pytest.raises(ValueError, match=f"^{message}"):
    SampleConfig(**changes)


def test_preconditioning_needs_the_size_of_updates(toy, statistics):
  with pytest.raises(ValueError, match="diffusion.precondition: the corpus's statistics lack"):
    build(toy, statistics, DiffusionConfig(precondition=True))


@pytest.mark.parametrize("model", [TINY, CHUNKS], ids=["neurons", "chunks"])
def test_prompts_beyond_what_was_learned_are_taken_for_its_ends(toy, statistics, networks, model):
  start, _ = networks
  generator = build(toy, statistics._replace(prompt_range=PromptRange(0.2, 1.5)), DiffusionConfig(), model)
  shapes = jax.eval_shape(generator.init, jax.random.key(0))
  rng = np.random.default_rng(0)
  weights = jax.tree.map(lambda w: jnp.asarray(rng.normal(0, 0.3, w.shape), jnp.float32), shapes)

  @jax.jit
  def updated(prompt):
    prompts = jnp.full(NETWORKS, prompt)
    return sampled(generator, weights, start, jnp.ones(NETWORKS), prompts, SampleConfig(steps=2))

  np.testing.assert_array_equal(updated(0.0), updated(0.2))
  np.testing.assert_array_equal(updated(9.0), updated(1.5))
  assert np.abs(updated(0.2) - updated(1.5)).max() > 1e-4


def test_a_prompt_s_place_runs_from_the_best_to_the_worst(toy, statistics):
  ranged = build(toy, statistics._replace(prompt_range=PromptRange(0.2, 2.0)), DiffusionConfig())
  middle = np.sqrt((0.2 + 0.02) * (2.0 + 0.02)) - 0.02  # of losses, on their logarithmic scale
  prompts = jnp.asarray([0.0, 0.2, middle, 2.0, 5.0])
  np.testing.assert_allclose(ranged.place(prompts), [0, 0, 0.5, 1, 1], atol=1e-6)
  rewarded = dataclasses.replace(ranged, metric=dataclasses.replace(ranged.metric, higher_is_better=True))
  np.testing.assert_allclose(rewarded.place(prompts), [1, 1, 0.5, 0, 0], atol=1e-6)
  np.testing.assert_array_equal(build(toy, statistics, DiffusionConfig()).place(prompts), 1.0)


def test_starts_beyond_what_was_learned_are_brought_to_its_bounds(toy, statistics, networks):
  """Longer arrays are shortened, shorter ones left; a metric out of range is taken for the range's end."""
  start, _ = networks
  name, part = next(iter(toy.spec.slices.items()))
  size = {n: float(np.sqrt(np.square(start[:, p]).mean(axis=1).max())) for n, p in toy.spec.slices.items()}
  learned = StartRange(0.5, 2.0, size)
  generator = build(toy, statistics._replace(start_range=learned), DiffusionConfig(variable="update"), TINY)
  weights = generator.init(jax.random.key(0))

  def updated(start, own, generator=generator):
    prompts = jnp.full(NETWORKS, 0.7)
    return sampled(generator, weights, start, jnp.full(NETWORKS, own), prompts, SampleConfig(steps=2))

  as_they_are = updated(start, 1.0, build(toy, statistics, DiffusionConfig(variable="update"), TINY))
  np.testing.assert_array_equal(updated(start, 1.0), as_they_are)
  np.testing.assert_array_equal(updated(start, 0.0), updated(start, 0.5))
  np.testing.assert_array_equal(updated(start, 9.0), updated(start, 2.0))
  long = start.at[:, part].multiply(50.0)
  found = np.asarray(updated(long, 1.0))
  shortened = long.at[:, part].multiply(size[name] / jnp.sqrt(jnp.square(long[:, part]).mean(axis=1, keepdims=True)))
  np.testing.assert_allclose(found, updated(shortened, 1.0), rtol=1e-4, atol=1e-5)
  assert np.abs(found - np.asarray(long))[:, part].max() > 1.0


def told_to(generator, start, own, prompt):
  """The inputs of the model in one loss."""
  told = []

  class Listener(nn.Module):
    def __call__(self, *inputs):
      told.append(inputs)
      return inputs[0]

  listening = dataclasses.replace(generator, module=Listener())
  listening.denoising_loss({}, Pairs(start, start, own, prompt), jax.random.key(0))
  return told[0]


def test_the_model_is_told_the_metric_s_coordinate_and_the_timestep_as_a_fraction(toy, statistics, networks):
  start, _ = networks
  own, prompt = jnp.array([2.3, 1.0, 0.5]), jnp.array([0.1, 0.2, 0.0])
  generator = generator_of(toy, statistics, "update")
  _, seen, timestep, start_metric, prompted = told_to(generator, start, own, prompt)
  np.testing.assert_allclose(start_metric, np.log(own + 0.02), rtol=1e-6)
  np.testing.assert_allclose(prompted, np.log(prompt + 0.02), rtol=1e-6)
  assert ((timestep >= 0) & (timestep < 1)).all() and np.allclose(np.round(timestep * STEPS), timestep * STEPS)
  std = toy.spec.repeated(statistics.units.start_std)
  np.testing.assert_allclose(seen * std[None] / 0.538, start, rtol=1e-5)


def test_the_paper_s_model_is_told_raw_numbers(toy, statistics, networks):
  start, _ = networks
  own, prompt = jnp.array([2.3, 1.0, 0.5]), jnp.array([0.1, 0.2, 0.0])
  generator = build(toy, statistics, DiffusionConfig(timesteps=STEPS), CHUNKS)
  _, _, timestep, start_metric, prompted = told_to(generator, start, own, prompt)
  np.testing.assert_array_equal(start_metric, own)
  np.testing.assert_array_equal(prompted, prompt)
  np.testing.assert_array_equal(timestep, np.round(timestep))
  assert timestep.max() > 1


def test_a_model_of_another_arrangement_sees_and_answers_in_it(toy, statistics, networks):
  start, target = networks
  arrangement = tuple((name, tuple(range(len(toy.spec.shape(name))))[::-1]) for name in toy.spec.names[::-1])
  index = toy.spec.arrangement_index(arrangement)
  generator = build(toy, statistics, DiffusionConfig(timesteps=STEPS), CHUNKS, arrangement)
  assert generator.module.spec.names == toy.spec.names[::-1]
  plain = build(toy, statistics, DiffusionConfig(timesteps=STEPS), CHUNKS)
  ones = jnp.ones(NETWORKS)
  xt, seen, *_ = told_to(generator, start, ones, ones)
  plain_xt, plain_seen, *_ = told_to(plain, start, ones, ones)
  np.testing.assert_array_equal(xt, plain_xt[:, index])
  np.testing.assert_array_equal(seen, plain_seen[:, index])
  knowing_it = dataclasses.replace(generator, module=Oracle(plain.units.encode(target, start)[:, index]))
  out = sampled(knowing_it, {}, start, ones, ones, SampleConfig(steps=2))
  np.testing.assert_allclose(out, target, rtol=1e-3, atol=1e-3)
