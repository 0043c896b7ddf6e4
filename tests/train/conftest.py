"""A training that is quick: runs on a straight way, and a linear model of them."""

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import sharding
from g_pt.corpus.pairs import PairsConfig, Runs, pair_source
from g_pt.corpus.statistics import Statistics
from g_pt.generator import DiffusionConfig, build
from g_pt.models.layers import Dense
from g_pt.models.neuron_transformer import NeuronTransformerConfig
from g_pt.parameters.units import UnitStatistics
from g_pt.train.step import Step, TrainConfig


class Linear(nn.Module):
  """Stands for the model, whose inner life is of no account here and slow to compile."""

  @nn.compact
  def __call__(self, noised, start, timestep, start_metric, prompted_metric):
    scalars = jnp.stack([timestep, start_metric, prompted_metric], axis=1)
    return Dense(start.shape[1])(jnp.concatenate([noised, start, scalars], axis=1))


@pytest.fixture(scope="package")
def config():
  return TrainConfig(
    steps=11,
    batch_size=16,
    microbatches=2,
    learning_rate=3e-3,
    warmup_steps=2,
    log_every=3,
    checkpoint_every=4,
    probe_every=5,
    pairs=PairsConfig(bins=4),
  )


@pytest.fixture(scope="package")
def generator(toy):
  std = dict.fromkeys(toy.spec.names, np.array(0.3, np.float32))
  statistics = Statistics(UnitStatistics(std, std), prompt_range=None, census=None)
  diffusion = DiffusionConfig(variable="update")
  generator = build(toy.spec, toy.metric("test_loss"), NeuronTransformerConfig(), diffusion, statistics)
  return dataclasses.replace(generator, module=Linear())


@pytest.fixture(scope="package")
def source(toy, config):
  """Runs that walk a straight way, their metric falling."""
  rng = np.random.default_rng(0)
  first, way = rng.normal(0, 0.3, (2, 13, toy.spec.size))
  theta = first[:, None] + np.linspace(0, 1, 5)[:, None] * way[:, None]
  metric = 2.0 - np.linspace(0, 1.8, 5) + rng.uniform(0, 0.1, (13, 5))
  runs = Runs(theta.astype(np.float32), metric.astype(np.float32))
  return pair_source(runs, toy.metric("test_loss"), config.pairs)


@pytest.fixture(scope="package")
def step_of(toy, generator, config):
  """(devices, changes of the settings) -> the training step."""

  def step_of(devices=1, **changes):
    mesh = sharding.make_mesh(sharding.MeshConfig(data=devices))
    return Step(toy, generator, dataclasses.replace(config, **changes), mesh)

  return step_of


@pytest.fixture(scope="package")
def fresh(step_of):
  """A state as training starts with."""
  return jax.jit(step_of().init)(jax.random.key(0))
