"""The same numbers on one device and on eight, however they are laid out; weights and batch really are cut."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import hlo
from g_pt import sharding
from g_pt.checkpointing import Checkpoints
from g_pt.corpus.pairs import Runs, pair_source
from g_pt.corpus.statistics import Statistics
from g_pt.errors import ConfigError
from g_pt.generator import DiffusionConfig, build
from g_pt.models.chunk_transformer import ChunkTransformerConfig
from g_pt.models.neuron_transformer import NeuronTransformerConfig
from g_pt.parameters.units import UnitStatistics
from g_pt.sharding import MeshConfig
from g_pt.train.step import Step, TrainConfig

CONFIG = TrainConfig(steps=5, batch_size=32, microbatches=2, learning_rate=1e-2, warmup_steps=1)
MODELS = {
  "neurons": NeuronTransformerConfig(width=16, depth=1, heads=2, frequencies=3, edge_rank=8),
  "chunks": ChunkTransformerConfig(width=16, depth=3, heads=2, chunk_size=50, frequencies=3),
  "stacked": ChunkTransformerConfig(width=16, depth=2, heads=2, chunk_size=50, frequencies=3, scan=True, remat=True),
}
MESHES = {
  "one": MeshConfig(data=1),
  "1x8": MeshConfig(data=1, fsdp=8),
  "2x4": MeshConfig(data=1, fsdp=4, tensor=2),
  "replicas": MeshConfig(replica=2, data=2, fsdp=2),
}


@pytest.fixture(scope="module")
def step_of(toy):
  """(model, mesh) -> (training step, its pairs)."""
  std = dict.fromkeys(toy.spec.names, np.array(0.3, np.float32))
  statistics = Statistics(UnitStatistics(std, std), prompt_range=None, census=None)
  metric = toy.metric("test_loss")
  rng = np.random.default_rng(0)
  theta, values = rng.normal(size=(13, 5, toy.spec.size)), rng.uniform(0.1, 2, (13, 5))
  source = pair_source(Runs(theta.astype(np.float32), values.astype(np.float32)), metric, CONFIG.pairs)

  @functools.cache
  def step_of(model, mesh):
    generator = build(toy.spec, metric, MODELS[model], DiffusionConfig(), statistics)
    return Step(toy, generator, CONFIG, sharding.make_mesh(MESHES[mesh])), source

  return step_of


@pytest.fixture(scope="module")
def trained(step_of):
  """(model, mesh) -> (the state after four steps, their losses and gradient norms)."""

  @functools.cache
  def trained(model, mesh):
    step, source = step_of(model, mesh)
    init, update = step.compiled()
    source = jax.device_put(source, sharding.replicated(step.mesh))
    state, found = init(jax.random.key(0)), []
    for _ in range(4):
      state, values = update(source, jax.random.key(1), state, None)
      found.append((values["loss"], values["gradient_norm"]))
    return state, np.array(jax.device_get(found))

  return trained


@pytest.mark.parametrize("mesh", [mesh for mesh in MESHES if mesh != "one"])
@pytest.mark.parametrize("model", MODELS)
def test_eight_devices_train_as_one(trained, model, mesh):
  alone, (state, losses) = trained(model, "one")[1], trained(model, mesh)
  np.testing.assert_allclose(losses, alone, rtol=1e-5)
  assert len(np.unique(alone)) == 8
  assert len(jax.tree.leaves(state.weights)[0].devices()) == 8


def cut_of(state, *path):
  """How a leaf of the weights, their average and both moments is cut; they are cut alike."""

  def leaf(tree):
    for key in path:
      tree = tree[key]
    return tree.sharding.spec

  parts = jax.tree.leaves(state.optimizer, is_leaf=lambda x: hasattr(x, "mu"))
  (moments,) = [part for part in parts if hasattr(part, "mu")]
  found = {leaf(tree["params"]) for tree in (state.weights, state.average, moments.mu, moments.nu)}
  assert len(found) == 1
  return tuple(found.pop())


def test_the_place_of_every_weight(trained):
  """By mesh of 4 x 2; an axis that cannot be cut evenly is whole, and stacked blocks have one axis more."""
  state, _ = trained("stacked", "2x4")
  block = ("blocks",)
  for path, cut in {
    (*block, "qkv", "kernel"): (None, "fsdp", "tensor"),
    (*block, "qkv", "bias"): (None, "tensor"),
    (*block, "attention_out", "kernel"): (None, "tensor", "fsdp"),
    (*block, "attention_out", "bias"): (),
    (*block, "mlp_in", "kernel"): (None, "fsdp", "tensor"),
    (*block, "mlp_in", "bias"): (None, "tensor"),
    (*block, "mlp_out", "kernel"): (None, "tensor", "fsdp"),
    (*block, "mlp_norm", "scale"): (),
    ("encode_0_0", "kernel"): (None, "fsdp"),
    ("decode_0_0", "kernel"): ("fsdp",),
    ("positions",): (None, "fsdp"),
    ("norm_in", "bias"): (),
  }.items():
    assert cut_of(state, *path)[: len(cut)] == cut and not any(cut_of(state, *path)[len(cut) :]), path
  flat = jax.tree_util.tree_flatten_with_path(state.weights["params"])[0]
  whole = {re.sub(r"\d+", "N", "/".join(key.key for key in path)) for path, leaf in flat if leaf.is_fully_replicated}
  norms = {f"{norm}/{part}" for norm in ("attention_norm", "mlp_norm") for part in ("scale", "bias")}
  wanted = {f"blocks/{name}" for name in norms | {"attention_out/bias", "mlp_out/bias"}}
  assert whole == wanted | {f"{norm}/{part}" for norm in ("norm_in", "norm_out") for part in ("scale", "bias")}


def test_devices_hold_a_part_of_the_state_and_do_a_part_of_the_work(step_of, trained):
  def bytes_of(state):
    return sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(state))

  def compiled(mesh):
    step, source = step_of("stacked", mesh)
    source = jax.device_put(source, sharding.replicated(step.mesh))
    return step.compiled()[1].lower(source, jax.random.key(1), trained("stacked", mesh)[0], None).compile()

  assert bytes_of(trained("stacked", "1x8")[0]) < 0.25 * bytes_of(trained("stacked", "one")[0])
  alone, shared = compiled("one"), compiled("1x8")
  assert "all-reduce" in shared.as_text() and "all-gather" in shared.as_text()
  assert "all-reduce" not in alone.as_text() and "all-gather" not in alone.as_text()
  assert shared.cost_analysis()["flops"] < 0.5 * alone.cost_analysis()["flops"]


def test_weights_are_gathered_once_for_a_product_and_its_gradient():
  mesh = sharding.make_mesh(MESHES["1x8"])
  paths = {"a": "blocks/qkv/kernel", "b": "blocks/attention_out/kernel"}
  rng = np.random.default_rng(0)
  weights = {name: jnp.asarray(rng.normal(size=(16, 16), scale=0.1), jnp.float32) for name in paths}
  x = jnp.asarray(rng.normal(size=(64, 16)), jnp.float32)

  def loss(weights, x):
    a, b = (sharding.gathered(weights[name], path) for name, path in paths.items())
    return jnp.sum(sharding.activation(jnp.tanh(sharding.activation(x @ a, "batch", None)) @ b, "batch", None) ** 2)

  def gradient(weights, x):
    with sharding.traced_for(mesh):
      return jax.grad(loss)(weights, sharding.activation(x, "batch", None))

  specs = {name: sharding.spec_of(path, (16, 16), mesh) for name, path in paths.items()}
  placed = jax.device_put(weights, {name: jax.sharding.NamedSharding(mesh, spec) for name, spec in specs.items()})
  x = jax.device_put(x, sharding.replicated(mesh))
  program = jax.jit(gradient).lower(placed, x).compile()
  found, alone = program(placed, x), jax.grad(loss)(weights, x)
  for name in paths:
    assert found[name].sharding.is_equivalent_to(placed[name].sharding, 2)
    np.testing.assert_allclose(found[name], alone[name], rtol=1e-5, atol=1e-5)
  moved = hlo.traffic(program.as_text(), 8)
  assert moved.count["all-gather"] == 2 and moved.received["all-gather"] == 2 * 16 * 16 * 4 * 7 / 8


def test_a_checkpoint_of_eight_devices_is_one_of_any_mesh(trained, tmp_path):
  state, _ = trained("stacked", "1x8")
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(4, state, state.average, {})
  with Checkpoints(tmp_path, read_only=True) as checkpoints:
    for mesh in ("one", "2x4"):
      like = trained("stacked", mesh)[0]
      found, _ = checkpoints.restore(like)
      for saved, wanted, leaf in zip(*map(jax.tree.leaves, (state, like, found))):
        np.testing.assert_array_equal(leaf, saved)
        assert leaf.sharding.is_equivalent_to(wanted.sharding, leaf.ndim)


def test_a_mesh_has_the_devices_asked_for():
  every = jax.devices()
  assert sharding.make_mesh(MeshConfig()).devices.ravel().tolist() == every
  assert sharding.make_mesh(MeshConfig(data=2)).devices.ravel().tolist() == every[:2]
  mesh = sharding.make_mesh(MeshConfig(data=-1, tensor=2))
  assert dict(mesh.shape) == {"replica": 1, "data": len(every) // 2, "fsdp": 1, "tensor": 2}
  with pytest.raises(ConfigError, match=r"mesh: 12 devices are wanted \(data 3 x fsdp 4\) and there are 8"):
    sharding.make_mesh(MeshConfig(data=3, fsdp=4))


@pytest.mark.parametrize(
  ("axes", "message"),
  [
    ({"data": 0}, "data: 0 is neither -1 nor at least 1"),
    ({"fsdp": -2}, "fsdp: -2 is less than -1"),
    ({"tensor": -1}, "data: only one axis can be -1"),
  ],
)
def test_a_mesh_that_cannot_be_is_refused(axes, message):
  with pytest.raises(ValueError, match=f"^{message}"):
    MeshConfig(**axes)


def test_a_batch_that_cannot_be_cut_is_refused():
  mesh = sharding.make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
  sharding.check_batch("train.batch_size", 8, mesh)
  with pytest.raises(ConfigError, match="train.batch_size: 6 is not a multiple of the 4 devices"):
    sharding.check_batch("train.batch_size", 6, mesh)


def test_any_axis_can_be_cut():
  mesh = sharding.make_mesh(MeshConfig(data=4))
  cut = jax.jit(lambda x: sharding.shard_batch({"a": x}, mesh, axis=1)["a"])(jnp.zeros((3, 8)))
  assert {shard.data.shape for shard in cut.addressable_shards} == {(3, 2)}
  whole = jax.device_put(jnp.zeros((8, 3)), sharding.replicated(mesh))
  assert {shard.data.shape for shard in whole.addressable_shards} == {(8, 3)}
