"""A training on many data sets goes down, and goes on bit for bit where it was killed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import sharding
from g_pt.corpus.families import family_source
from g_pt.corpus.pairs import PairsConfig
from g_pt.tasks import graph
from g_pt.train.loop import Lesson, train, turn
from g_pt.train.step import Step
from tests.family_generator_test import CLASSES, generator_of, task_of, told_of
from tests.train.loop_test import Killed, assert_same, killed_at, lines

SETS, RUNS, CHECKPOINTS, UNITS = 4, 3, 5, 4


@pytest.fixture(scope="module")
def run(toy, config):
  """(directory, probe, devices, changes of the settings) -> averaged weights, after training there."""

  def lesson(classes, settings, mesh):
    task = task_of(toy, classes)
    generator = generator_of(task)
    return Lesson(Step(task, generator, settings, mesh), source_of(generator, classes))

  def run(directory, probe=lambda weights: {"probe": 1.0}, devices=1, further=(), **changes):
    pairs = dataclasses.replace(config.pairs, of_a_set=4)
    settings = dataclasses.replace(config, pairs=pairs, **({"behaviour": 1.0, "behaviour_inputs": 8} | changes))
    mesh = sharding.make_mesh(sharding.MeshConfig(data=devices))
    first, *others = (lesson(classes, settings, mesh) for classes in (CLASSES, *further))
    return train(*first, 0, directory, probe, further=others)

  return run


def source_of(generator, classes=CLASSES):
  """Runs of each data set that walk along its own directions, their metric falling."""
  rng = np.random.default_rng(0)
  told = [[jax.device_get(told_of(classes, seed)[1])] for seed in range(SETS)]
  theta = np.zeros((SETS, RUNS, CHECKPOINTS, generator.spec.size), np.float32)
  for number, (known,) in enumerate(told):
    first = jnp.asarray(0.3 * rng.normal(size=(RUNS, generator.spec.size)), jnp.float32)
    way = generator.decode(jnp.full((RUNS, graph.size(UNITS, classes)), 0.5), first, known) - first
    theta[number] = np.asarray(first)[:, None] + np.linspace(0, 1, CHECKPOINTS)[:, None] * np.asarray(way)[:, None]
  values = 2.0 - np.linspace(0, 1.8, CHECKPOINTS) + rng.uniform(0, 0.1, (SETS, 2, RUNS, CHECKPOINTS))
  return family_source(theta, values.astype(np.float32), told, generator.metrics, PairsConfig(bins=4))


def test_the_loss_falls(run, tmp_path):
  run(tmp_path, steps=90, learning_rate=1e-2, log_every=10, probe_every=0, history=0, checkpoint_every=90)
  losses = [line["loss"] for line in lines(tmp_path)]
  assert losses[-1] < 0.7 * losses[0]


def test_killed_and_resumed_is_the_same_bit_for_bit(run, tmp_path):
  whole = run(tmp_path / "whole")
  with pytest.raises(Killed):
    run(tmp_path / "killed", killed_at(1))
  assert_same(run(tmp_path / "killed"), whole)
  assert lines(tmp_path / "killed") == lines(tmp_path / "whole")


def test_networks_of_several_numbers_of_classes_take_turns():
  assert {turn(step, 1) for step in range(1, 20)} == {0}
  turns = [turn(step, 4) for step in range(1, 601)]
  assert [turns.count(lesson) for lesson in range(4)] == [300, 100, 100, 100]


def test_with_further_numbers_of_classes_too_it_goes_on_where_it_was_killed(run, tmp_path):
  """From step 3 on, whose turn is not that of the first step."""
  settings = {"further": (2, 4), "checkpoint_every": 3}
  whole = run(tmp_path / "whole", **settings)
  with pytest.raises(Killed):
    run(tmp_path / "killed", killed_at(1), **settings)
  assert_same(run(tmp_path / "killed", **settings), whole)
  assert lines(tmp_path / "killed") == lines(tmp_path / "whole")
  alone = run(tmp_path / "alone")
  assert any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(*map(jax.tree.leaves, (alone, whole))))


def test_what_networks_do_counts(run, tmp_path):
  run(tmp_path / "with")
  run(tmp_path / "without", behaviour=0.0)
  first, second = (lines(tmp_path / name)[0]["loss"] for name in ("with", "without"))
  assert first > second


def followed(run, directory, **changes):
  """Loss and size of the gradient at each of a few steps."""
  run(directory, steps=4, log_every=1, probe_every=0, **changes)
  return [(line["loss"], line["gradient_norm"]) for line in lines(directory)]


def test_data_sets_one_after_another_or_all_at_once_are_the_same(run, tmp_path):
  first, second = (followed(run, tmp_path / str(parts), microbatches=parts) for parts in (4, 1))
  np.testing.assert_allclose(first, second, rtol=1e-3)


@pytest.mark.parametrize("microbatches", [1, 4])
def test_devices_share_the_data_sets_of_a_batch_or_the_pairs_of_each(run, tmp_path, microbatches):
  alone, shared = (followed(run, tmp_path / str(n), devices=n, microbatches=microbatches) for n in (1, 4))
  np.testing.assert_allclose(shared, alone, rtol=1e-3)
