"""The same numbers on one device and on four; the batch really is cut."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import sharding
from g_pt.corpus.pairs import Runs, pair_source
from g_pt.corpus.statistics import Statistics
from g_pt.errors import ConfigError
from g_pt.generator import DiffusionConfig, build
from g_pt.models.neuron_transformer import NeuronTransformerConfig
from g_pt.parameters.units import UnitStatistics
from g_pt.train.step import Step, TrainConfig

CONFIG = TrainConfig(steps=5, batch_size=32, microbatches=2, learning_rate=1e-2, warmup_steps=1)


@pytest.fixture(scope="module")
def compiled(toy):
  """devices -> (compiled training step, its arguments)."""
  std = dict.fromkeys(toy.spec.names, np.array(0.3, np.float32))
  statistics = Statistics(UnitStatistics(std, std), prompt_range=None, census=None)
  metric, model = toy.metric("test_loss"), NeuronTransformerConfig(width=8, depth=1, heads=2, frequencies=3)
  generator = build(toy.spec, metric, model, DiffusionConfig(), statistics)
  rng = np.random.default_rng(0)
  theta, values = rng.normal(size=(13, 5, toy.spec.size)), rng.uniform(0.1, 2, (13, 5))
  source = pair_source(Runs(theta.astype(np.float32), values.astype(np.float32)), metric, CONFIG.pairs)

  @functools.cache
  def compiled(devices):
    mesh = sharding.make_mesh(sharding.MeshConfig(batch=devices))
    step = Step(toy, generator, CONFIG, mesh)
    start = jax.jit(step.init)(jax.random.key(0))
    arguments = jax.device_put((source, jax.random.key(1), start, None), sharding.replicated(mesh))
    return jax.jit(step.__call__).lower(*arguments).compile(), arguments

  return compiled


def test_four_devices_train_as_one(compiled):
  losses = {}
  for devices in (1, 4):
    step, (source, key, state, data) = compiled(devices)
    found = []
    for _ in range(4):
      state, values = step(source, key, state, data)
      found.append((values["loss"], values["gradient_norm"]))
    losses[devices] = np.array(jax.device_get(found))
  np.testing.assert_allclose(losses[4], losses[1], rtol=1e-5)
  assert len(np.unique(losses[1])) == 8


def test_devices_share_the_work_and_add_up_their_gradients(compiled):
  alone, shared = compiled(1)[0], compiled(4)[0]
  assert "all-reduce" in shared.as_text() and "all-reduce" not in alone.as_text()
  # Of one device; attention and linear layers are all of the batch.
  assert shared.cost_analysis()["flops"] < 0.5 * alone.cost_analysis()["flops"]


def test_a_mesh_has_the_devices_asked_for():
  assert sharding.make_mesh(sharding.MeshConfig()).devices.tolist() == jax.devices()
  assert sharding.make_mesh(sharding.MeshConfig(batch=2)).devices.tolist() == jax.devices()[:2]
  with pytest.raises(ConfigError, match="mesh.batch: 5 devices are wanted and there are 4"):
    sharding.make_mesh(sharding.MeshConfig(batch=5))


@pytest.mark.parametrize(
  ("batch", "message"), [(0, "batch: 0 is neither -1 nor at least 1"), (-2, "batch: -2 is less than -1")]
)
def test_a_mesh_of_no_devices_is_refused(batch, message):
  with pytest.raises(ValueError, match=f"^{message}"):
    sharding.MeshConfig(batch=batch)


def test_a_batch_that_cannot_be_cut_is_refused():
  mesh = sharding.make_mesh(sharding.MeshConfig(batch=4))
  sharding.check_batch("train.batch_size", 8, mesh)
  with pytest.raises(ConfigError, match="train.batch_size: 6 is not a multiple of the 4 devices"):
    sharding.check_batch("train.batch_size", 6, mesh)


def test_any_axis_can_be_cut():
  mesh = sharding.make_mesh(sharding.MeshConfig(batch=4))
  cut = jax.jit(lambda x: sharding.shard_batch({"a": x}, mesh, axis=1)["a"])(jnp.zeros((3, 8)))
  assert {shard.data.shape for shard in cut.addressable_shards} == {(3, 2)}
  whole = jax.device_put(jnp.zeros((8, 3)), sharding.replicated(mesh))
  assert {shard.data.shape for shard in whole.addressable_shards} == {(8, 3)}
