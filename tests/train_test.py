"""Training goes down, can be killed and resumed bit for bit, and stops where it diverges."""

import dataclasses
import json
import shutil

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import sharding, tasks, workdir
from g_pt.checkpointing import Checkpoints
from g_pt.corpus.pairs import PairsConfig, draw_pairs, pair_source
from g_pt.corpus.prepare import PrepareConfig, Runs, Statistics, prepare
from g_pt.corpus.store import Corpus
from g_pt.generator import DiffusionConfig, build
from g_pt.models.layers import Dense
from g_pt.models.neuron_transformer import NeuronTransformerConfig
from g_pt.train import OPTIMIZERS, DivergenceError, Log, TrainConfig, init_state, make_optimizer, train, train_step

CONFIG = TrainConfig(
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
ONE_DEVICE = sharding.MeshConfig(batch=1)


class Killed(Exception):
  """Stands for the end of the process."""


class Linear(nn.Module):
  """Stands for the model, whose inner life is of no account here and slow to compile."""

  @nn.compact
  def __call__(self, noised, start, timestep, start_metric, prompted_metric):
    scalars = jnp.stack([timestep, start_metric, prompted_metric], axis=1)
    return Dense(start.shape[1])(jnp.concatenate([noised, start, scalars], axis=1))


@pytest.fixture(scope="module")
def generator(toy):
  std = {name: 0.3 for name in toy.spec.names}
  statistics = Statistics(std, std, 0.1, 2.0, 10, 2, 0, 5, 0.2)
  generator = build(toy, "test_loss", NeuronTransformerConfig(), DiffusionConfig(variable="update"), statistics)
  return dataclasses.replace(generator, module=Linear())


@pytest.fixture(scope="module")
def source(toy):
  """Runs that walk a straight way, their metric falling."""
  rng = np.random.default_rng(0)
  first, way = rng.normal(0, 0.3, (2, 13, toy.spec.size))
  theta = first[:, None] + np.linspace(0, 1, 5)[:, None] * way[:, None]
  metric = 2.0 - np.linspace(0, 1.8, 5) + rng.uniform(0, 0.1, (13, 5))
  runs = Runs(theta.astype(np.float32), metric.astype(np.float32))
  return pair_source(runs, toy.metrics["test_loss"], CONFIG.pairs)


@pytest.fixture(scope="module")
def run(generator, source):
  """(directory, changes of the configuration) -> averaged weights, after training there."""

  def run(directory, source=source, mesh=ONE_DEVICE, probe=lambda weights: {"probe": 1.0}, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    return train(generator, source, config, sharding.make_mesh(mesh), 0, directory, probe)

  return run


@pytest.fixture(scope="module")
def uninterrupted(run, tmp_path_factory):
  directory = tmp_path_factory.mktemp("uninterrupted")
  run(directory)
  return directory


def killed_at(call):
  """A probe at whose `call`-th call the process ends."""
  calls = 0

  def probe(weights):
    nonlocal calls
    calls += 1
    if calls == call:
      raise Killed
    return {"probe": 1.0}

  return probe


def lines(directory):
  """metrics.jsonl without the time it took."""
  found = [json.loads(line) for line in (directory / workdir.METRICS).read_text().splitlines()]
  assert all(line.pop("seconds") >= 0 for line in found)
  return found


@pytest.fixture(scope="module")
def fresh(generator):
  """A state as training starts with."""
  return jax.jit(lambda key: init_state(generator, make_optimizer(CONFIG), key))(jax.random.key(0))


@pytest.fixture(scope="module")
def last_state(fresh):
  """directory -> (step, state) of the last checkpoint there."""

  def last_state(directory):
    with Checkpoints(directory / workdir.CHECKPOINTS, read_only=True) as checkpoints:
      return checkpoints.latest, jax.device_get(checkpoints.restore(fresh)[0])

  return last_state


def assert_same(found, wanted):
  jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_loss_falls_on_digits(gpt, smoke_workdir, smoke_values):
  """On pairs of unseen runs, with the same timesteps and noise before and after."""
  task = tasks.get("digits")
  prepared = prepare(Corpus.open(smoke_workdir / workdir.CORPUS), task.spec, "test_loss", PrepareConfig(test_runs=4))
  source = pair_source(prepared.test, gpt.metric, PairsConfig(bins=4))

  @jax.jit
  def loss(weights, key):
    pair_key, noise_key = jax.random.split(key)
    return gpt.generator.loss(weights, draw_pairs(source, task.spec, PairsConfig(), pair_key, 256), noise_key)

  before = jax.jit(gpt.generator.init)(jax.random.split(jax.random.key(smoke_values["seed"]))[0])
  assert loss(gpt.weights, jax.random.key(2)) < 0.9 * loss(before, jax.random.key(2))


def test_the_log_has_a_line_every_few_steps(uninterrupted):
  found = lines(uninterrupted)
  assert [line["step"] for line in found] == [3, 5, 6, 9, 10, 11]
  assert [line["step"] for line in found if "probe" in line] == [5, 10, 11]
  assert all(line["loss"] > 0 and line["gradient_norm"] > 0 for line in found)


@pytest.mark.parametrize(("call", "left"), [(1, 4), (2, 8), (3, 8)], ids=["step 5", "step 10", "step 11"])
def test_killed_and_resumed_is_the_same_bit_for_bit(last_state, run, uninterrupted, tmp_path, call, left):
  with pytest.raises(Killed):
    run(tmp_path, probe=killed_at(call))
  assert last_state(tmp_path)[0] == left
  # A line that a kill has cut short.
  with (tmp_path / workdir.METRICS).open("a") as file:
    file.write('{"step": 11, "lo')
  average = run(tmp_path)
  step, state = last_state(tmp_path)
  assert step == CONFIG.steps == state.step
  assert_same(state, last_state(uninterrupted)[1])
  assert_same(average, state.average)
  assert lines(tmp_path) == lines(uninterrupted)


def test_a_kill_while_the_log_is_cut_loses_none_of_it(uninterrupted, tmp_path, monkeypatch):
  shutil.copy(uninterrupted / workdir.METRICS, tmp_path)

  def killed(*arguments):
    raise Killed

  with monkeypatch.context() as patch, pytest.raises(Killed):
    patch.setattr("g_pt.workdir.os.replace", killed)
    Log(tmp_path, 6)
  assert lines(tmp_path) == lines(uninterrupted)


def test_a_finished_training_is_left_alone(last_state, run, uninterrupted):
  before = lines(uninterrupted)
  assert_same(run(uninterrupted, probe=killed_at(1)), last_state(uninterrupted)[1].average)
  assert lines(uninterrupted) == before


def test_a_number_that_is_not_finite_stops_training_at_its_step(last_state, run, source, uninterrupted, tmp_path):
  with pytest.raises(Killed):
    run(tmp_path, probe=killed_at(1))
  # From here on every batch holds some of it.
  damaged = source._replace(theta=source.theta.at[:, 0].set(jnp.nan))
  with pytest.raises(DivergenceError, match=r"^training diverged: the (loss|gradient norm) of step 5 is nan$"):
    run(tmp_path, source=damaged, probe=None)
  step, state = last_state(tmp_path)
  assert step == 4 and all(np.isfinite(x).all() for x in jax.tree.leaves(state))
  # The cause mended, training goes on as if nothing had been.
  run(tmp_path)
  assert_same(last_state(tmp_path)[1], last_state(uninterrupted)[1])
  assert lines(tmp_path) == lines(uninterrupted)


def test_a_learning_rate_far_too_large_stops_training(last_state, run, tmp_path):
  with pytest.raises(DivergenceError, match=r"the (loss|gradient norm) of step [2-8] is (nan|inf)"):
    run(tmp_path, learning_rate=1e25, checkpoint_every=1)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(last_state(tmp_path)[1]))


def test_nothing_is_compiled_after_the_first_step(run, tmp_path, caplog):
  four = sharding.MeshConfig(batch=4)
  with jax.log_compiles():
    with pytest.raises(Killed):
      run(tmp_path, mesh=four, probe=killed_at(1))
    run(tmp_path, mesh=four)
  messages = [record.getMessage() for record in caplog.records]
  compiled = [message.split()[1] for message in messages if message.startswith("Compiling")]
  # Once in each process.
  assert compiled.count("jit(train_step)") == 2, compiled


def test_a_step_is_the_mean_over_microbatches(toy, generator, source, fresh):
  optimizer, key, mesh = make_optimizer(CONFIG), jax.random.key(7), sharding.make_mesh(ONE_DEVICE)
  state = fresh._replace(step=jnp.int32(3), average=jax.tree.map(jnp.zeros_like, fresh.average))
  after, values = jax.jit(lambda state: train_step(generator, optimizer, CONFIG, mesh, source, key, state))(state)

  @jax.jit
  @jax.value_and_grad
  def expected(weights):
    pair_key, noise_key = jax.random.split(jax.random.fold_in(key, 3))
    pairs = draw_pairs(source, toy.spec, CONFIG.pairs, pair_key, 16)
    halves = [jax.tree.map(lambda x, part=part: x[part], pairs) for part in (slice(8), slice(8, 16))]
    return sum(generator.loss(weights, half, k) for half, k in zip(halves, jax.random.split(noise_key, 2))) / 2

  loss, gradient = expected(state.weights)
  np.testing.assert_allclose(values["loss"], loss, rtol=1e-5)
  squares = [np.sum(np.square(g)) for g in jax.tree.leaves(jax.device_get(gradient))]
  np.testing.assert_allclose(values["gradient_norm"], np.sqrt(np.sum(squares)), rtol=1e-4)
  assert after.step == 4
  # The average is young: it moves by 1 - (1 + 3) / (10 + 3) of the way.
  after = jax.device_get(after)
  moved = jax.tree.map(lambda weight: weight * (1 - 4 / 13), after.weights)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), after.average, moved)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_kernels_decay_and_nothing_else(name):
  config = dataclasses.replace(CONFIG, optimizer=name, weight_decay=0.1, warmup_steps=0)
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
