"""Training goes down, can be killed and resumed bit for bit, and stops where it diverges."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import workdir
from g_pt.checkpointing import Checkpoints, History
from g_pt.corpus.pairs import PairsConfig, Runs, draw_pairs, pair_source
from g_pt.corpus.split import SplitConfig, split_runs
from g_pt.corpus.store import Corpus
from g_pt.keys import stream
from g_pt.train.log import DivergenceError
from g_pt.train.loop import history_steps, train


class Killed(Exception):
  """Stands for the end of the process."""


@pytest.fixture(scope="module")
def run(step_of, source):
  """(directory, changes of the settings) -> averaged weights, after training there."""

  def run(directory, source=source, devices=1, probe=lambda weights: {"probe": 1.0}, data=None, **changes):
    return train(step_of(devices, **changes), source, 0, directory, probe, data)

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
  config = PairsConfig(bins=4)
  corpus = Corpus.open(smoke_workdir / workdir.CORPUS)
  unseen = split_runs(corpus, SplitConfig(validation_runs=4, test_runs=4)).test
  runs = Runs(corpus.read(corpus.theta, unseen), corpus.read(corpus.metrics["test_loss"], unseen))
  source = pair_source(runs, gpt.metric, config)

  @jax.jit
  def loss(weights, key):
    pair_key, noise_key = jax.random.split(key)
    pairs = draw_pairs(source, config, pair_key, 256)
    return jnp.mean(gpt.generator.denoising_loss(weights, pairs, noise_key)[0])

  before = jax.jit(gpt.generator.init)(stream(smoke_values["seed"], "train", "init"))
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
  assert step == 11 == state.step
  assert_same(state, last_state(uninterrupted)[1])
  assert_same(average, state.average)
  assert lines(tmp_path) == lines(uninterrupted)


def history_of(directory, fresh):
  """step -> averaged weights that stayed."""
  with History(directory / workdir.HISTORY, read_only=True) as history:
    return {step: jax.device_get(history.restore(step, fresh.average)) for step in history.steps}


def test_averaged_weights_of_some_steps_stay(last_state, run, uninterrupted, tmp_path, config, fresh):
  found = history_of(uninterrupted, fresh)
  assert set(found) == history_steps(config) and max(found) == 11
  assert_same(found[11], last_state(uninterrupted)[1].average)
  with pytest.raises(Killed):
    run(tmp_path, probe=killed_at(1))
  run(tmp_path)
  assert_same(history_of(tmp_path, fresh), found)


def test_steps_of_the_history_are_even_in_their_logarithm(config):
  many = dataclasses.replace(config, steps=6400, history=7)
  assert history_steps(many) == {100, 200, 400, 800, 1600, 3200, 6400}
  assert history_steps(dataclasses.replace(many, history=1)) == {6400}
  assert history_steps(dataclasses.replace(many, history=0)) == set()
  assert history_steps(dataclasses.replace(many, steps=3)) == {1, 2, 3}


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
  with jax.log_compiles():
    with pytest.raises(Killed):
      run(tmp_path, devices=4, probe=killed_at(1))
    run(tmp_path, devices=4)
  messages = [record.getMessage() for record in caplog.records]
  compiled = [message.split()[1] for message in messages if message.startswith("Compiling")]
  # Once in each process.
  assert compiled.count("jit(__call__)") == 2, compiled


def test_data_are_given_to_the_loss_where_behaviour_counts(toy, run, uninterrupted, tmp_path):
  """It pulls at the weights from the first step on, and a training with it goes on bit for bit, too."""
  how = {"data": toy.load(None), "behaviour": 1.0, "behaviour_inputs": 8}
  run(tmp_path / "whole", **how)
  with pytest.raises(Killed):
    run(tmp_path / "killed", probe=killed_at(1), **how)
  run(tmp_path / "killed", **how)
  assert lines(tmp_path / "killed") == lines(tmp_path / "whole")
  assert lines(tmp_path / "whole")[0]["loss"] > lines(uninterrupted)[0]["loss"]


def test_another_seed_is_another_training(step_of, source, uninterrupted, tmp_path):
  train(step_of(), source, 1, tmp_path)
  first, second = lines(tmp_path)[0], lines(uninterrupted)[0]
  assert first["step"] == second["step"] and first["loss"] != second["loss"]
