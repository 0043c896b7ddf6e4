"""A corpus is made group by group, can be interrupted anywhere, and is the same bit for bit."""

import dataclasses
import functools
import json

import hypothesis
from hypothesis import strategies as st
import jax
import numpy as np
import pytest

from g_pt import sharding
from g_pt.corpus import storage
from g_pt.corpus.generate import (
  SAVE_POINTS,
  CorpusConfig,
  generate,
  initial_parameters,
  run_keys,
  save_points,
  side_by_side,
  waves,
)
from g_pt.corpus.store import Corpus
from g_pt.errors import ConfigError, CorpusError
from g_pt.tasks import population

CONFIG = CorpusConfig(runs=5, checkpoints=4, group_size=2)  # three groups, the last one smaller
SEED = 3


class Killed(Exception):
  """Stands for the end of the process."""


def arrays(corpus):
  """Everything that a corpus holds, by name."""
  stored = {"theta": corpus.theta, "step": corpus.step, **corpus.metrics}
  return {name: corpus.read(array) for name, array in stored.items()}


def assert_same(found, wanted):
  assert set(found) == set(wanted)
  for name, values in wanted.items():
    np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.fixture(scope="module")
def recipe(toy):
  return dataclasses.replace(toy.training.recipe, optimizer="sgd")


@pytest.fixture(scope="module")
def make(toy, recipe):
  """path -> the corpus there, made or finished."""
  return functools.partial(generate, toy, recipe, CONFIG, SEED, toy.load(None))


@pytest.fixture(scope="module")
def whole(make, tmp_path_factory):
  """A corpus made without an interruption."""
  return make(tmp_path_factory.mktemp("whole"))


counts = st.integers(2, 80).flatmap(lambda count: st.tuples(st.just(count), st.integers(count - 1, 5000)))


@hypothesis.given(counts, st.sampled_from(SAVE_POINTS), st.integers(0, 9), st.integers(0, 9))
def test_save_points_rise_from_the_first_to_the_last_step(counts, kind, seed, group):
  count, steps = counts
  points = save_points(CorpusConfig(runs=2, checkpoints=count, save_points=kind), steps, seed, group)
  assert points.dtype == np.int32 and len(points) == count
  assert points[0] == 0 and points[-1] == steps
  assert (np.diff(points) > 0).all()


def test_log_save_points_are_even_in_log_step():
  points = save_points(CorpusConfig(runs=2, checkpoints=32), 100_000, 0, 0)
  late = points[points > 100]
  ratio = late[1:] / late[:-1]
  np.testing.assert_allclose(ratio, ratio.mean(), rtol=0.01)
  assert (np.diff(points, n=2) >= 0).all()


def test_log_save_points_are_those_of_every_group_and_seed():
  config = CorpusConfig(runs=2, checkpoints=32)
  first, *others = (save_points(config, 10_000, seed, group) for seed, group in ((0, 0), (0, 1), (1, 0)))
  for other in others:
    np.testing.assert_array_equal(other, first)


def test_uniform_save_points_are_drawn_anew_by_seed_and_group():
  config = CorpusConfig(runs=2, checkpoints=200, save_points="uniform")
  first, *others = (save_points(config, 10_000, seed, group) for seed, group in ((0, 0), (1, 0), (0, 1), (1, 1)))
  assert len({tuple(points) for points in (first, *others)}) == 4
  np.testing.assert_array_equal(save_points(config, 10_000, 0, 0), first)
  for points in (first, *others):
    assert abs(points[1:-1].mean() - 5000) < 4 * 10_000 / np.sqrt(12 * 198)


def test_more_checkpoints_than_steps_are_refused_before_anything_is_written(toy, recipe, tmp_path):
  config = dataclasses.replace(CONFIG, checkpoints=12)
  with pytest.raises(ConfigError, match="corpus.checkpoints: 12 cannot be kept of 10 steps") as error:
    generate(toy, recipe, config, SEED, toy.load(None), tmp_path / "corpus")
  assert "\n" not in str(error.value)
  assert not (tmp_path / "corpus").exists()


def test_a_corpus_holds_whole_runs(toy, whole):
  content = arrays(whole)
  assert content["theta"].shape == (5, 4, toy.spec.size)
  assert set(content) == {"theta", "step", "test_loss", "test_error", "train_loss", "train_error"}
  assert all(np.isfinite(values).all() for values in content.values())
  np.testing.assert_array_equal(content["step"], [save_points(CONFIG, 10, 0, 0)] * 5)
  assert (content["train_loss"][:, -1] < content["train_loss"][:, 0]).all()
  # No two runs, and no two groups, are alike.
  assert len(np.unique(content["theta"].reshape(20, -1), axis=0)) == 20
  assert whole.manifest.complete
  shapes = {"layer_0/bias": [5], "layer_0/kernel": [7, 5], "layer_1/bias": [3], "layer_1/kernel": [5, 3]}
  assert whole.manifest.parameters == [[name, shape] for name, shape in shapes.items()]


@pytest.mark.parametrize("count", [1, 2])
def test_how_many_devices_make_it_changes_no_bit(make, whole, tmp_path, monkeypatch, count):
  """`whole` was made on all eight, the two groups of one size side by side."""
  few = jax.local_devices()[:count]
  monkeypatch.setattr(jax, "local_devices", lambda: few)
  assert_same(arrays(make(tmp_path)), arrays(whole))


def test_groups_that_are_made_at_once_are_of_one_size():
  size = {7: 2}.get
  assert waves([0, 1, 3, 4, 6, 7], lambda group: size(group, 4), 2) == [[0, 1], [3, 4], [6], [7]]
  assert waves([0, 1, 2], lambda group: 4, 8) == [[0, 1, 2]] and waves([], size, 8) == []


def test_devices_say_nothing_to_each_other(toy, recipe):
  """A run is made by one device alone; the text is that of the compiled program."""
  devices, data = jax.local_devices(), toy.load(None)

  def train(data, initial, rates, key):
    decay, saved = jax.numpy.asarray(recipe.decay(data)), jax.numpy.arange(3)
    return population.train_and_measure(toy, recipe, data, initial, rates, decay, key, saved)

  program = sharding.on_each(train, devices)
  initial = jax.numpy.zeros((len(devices), 2, toy.spec.size))
  rows = initial, jax.numpy.ones((len(devices), 2)), jax.random.split(jax.random.key(0), len(devices))
  text = program.lower(sharding.on_all(data, devices), *rows).compile().as_text()
  assert "dot(" in text
  for word in ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter"):
    assert word not in text, word


def test_the_largest_weight_of_each_run_is_kept(whole):
  theta = whole.read(whole.theta)
  np.testing.assert_array_equal(whole.read(whole.largest), np.abs(theta).max(axis=(1, 2)))


def test_a_run_starts_by_its_own_number_whatever_its_group(toy, whole):
  theta = whole.read(whole.theta)
  keys = run_keys(SEED, range(5))
  np.testing.assert_array_equal(theta[:, 0], jax.jit(functools.partial(initial_parameters, toy))(keys))
  np.testing.assert_array_equal(jax.random.key_data(run_keys(SEED, range(3, 5))), jax.random.key_data(keys)[3:])


def test_uniform_save_points_of_each_group_are_recorded(toy, recipe, tmp_path):
  config = dataclasses.replace(CONFIG, save_points="uniform")
  corpus = generate(toy, recipe, config, SEED, toy.load(None), tmp_path)
  wanted = [save_points(config, 10, SEED, group) for group in (0, 0, 1, 1, 2)]
  np.testing.assert_array_equal(corpus.read(corpus.step), wanted)
  assert len(np.unique(wanted, axis=0)) > 1


@pytest.mark.parametrize("done", [0, 1, 2])
@pytest.mark.parametrize("named", [True, False], ids=["named", "written"])
def test_an_interrupted_corpus_goes_on_and_ends_the_same(make, whole, tmp_path, monkeypatch, done, named):
  """Killed in the group after `done` others: before its arrays are written, or before the manifest names it."""
  write_group, write_bytes = Corpus.write_group, storage.write_bytes

  def killed_before_writing(corpus, group, *arguments):
    if group == done:
      raise Killed
    write_group(corpus, group, *arguments)

  def killed_before_naming(place, name, content):
    if len(json.loads(content)["groups_done"]) > done:
      raise Killed
    write_bytes(place, name, content)

  with monkeypatch.context() as patch:
    if named:
      patch.setattr(Corpus, "write_group", killed_before_writing)
    else:
      patch.setattr(storage, "write_bytes", killed_before_naming)
    with pytest.raises(Killed):
      make(tmp_path)
  assert Corpus.open(tmp_path).manifest.groups_done == list(range(done))
  resumed = make(tmp_path)
  assert resumed.manifest.complete
  assert_same(arrays(resumed), arrays(whole))


def test_a_whole_corpus_is_left_alone(make, whole, monkeypatch):
  monkeypatch.setattr(Corpus, "write_group", None)
  assert make(whole.path).manifest == whole.manifest


def test_other_settings_are_refused_and_named(toy, recipe, whole):
  faster = dataclasses.replace(recipe, learning_rate=0.5)
  larger = dataclasses.replace(CONFIG, runs=6, save_points="uniform")
  others = (
    (recipe, CONFIG, 4, "corpus.seed is 3 there, 4 here"),
    (faster, CONFIG, SEED, "corpus.recipe.learning_rate is 0.1 there, 0.5 here"),
    (recipe, larger, SEED, "runs is 5 there, 6 here; corpus.save_points is 'log' there, 'uniform' here"),
  )
  for other_recipe, config, seed, message in others:
    with pytest.raises(CorpusError, match=message) as error:
      generate(toy, other_recipe, config, seed, toy.load(None), whole.path)
    assert "\n" not in str(error.value) and str(whole.path) in str(error.value)
  other_task = dataclasses.replace(toy, name="other")
  with pytest.raises(CorpusError, match="task is 'toy' there, 'other' here"):
    generate(other_task, recipe, CONFIG, SEED, toy.load(None), whole.path)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_results_come_in_order_and_never_many_ahead(at_once):
  begun, taken = [], 0

  def function(argument):
    begun.append(argument)
    return argument * 10

  for expected, result in zip(range(12), side_by_side(function, range(12), at_once)):
    assert result == expected * 10
    taken += 1
    assert len(begun) <= taken + at_once
  assert sorted(begun) == list(range(12))


def test_an_error_in_one_group_reaches_the_one_who_asks():
  def function(argument):
    if argument == 3:
      raise Killed
    return argument

  results = side_by_side(function, range(100), 2)
  assert [next(results) for _ in range(3)] == [0, 1, 2]
  with pytest.raises(Killed):
    next(results)
