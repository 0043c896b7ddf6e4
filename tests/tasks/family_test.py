"""The runs of a group of a family learn one data set of their own, which follows from the group's key."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from g_pt import tasks
from g_pt.corpus.generate import CorpusConfig, generate
from g_pt.errors import ConfigError
from g_pt.keys import fold, stream
from g_pt.tasks import classifiers, family, mixes, population
from tests.tasks.mixes_test import SIDE, SIZES, source

CONFIG = CorpusConfig(runs=6, checkpoints=3, group_size=2)


@pytest.fixture(scope="module")
def toys(toy):
  """The family of the toy's architecture on 4x4 pixels, and its sources."""
  made = classifiers.task(
    name="toys",
    classifier=family.networks.MLP((5, 3)),
    hidden_layers=family.networks.mlp_hidden_layers((5, 3)),
    input_shape=(SIDE * SIDE,),
    load=lambda data_dir: None,
    metrics=toy.measurement.metrics,
    recipe=dataclasses.replace(toy.training.recipe, epochs=4, batch_size=20),
    draw=lambda sources, key: mixes.draw(SIZES, sources, key),
  )
  return made, mixes.sources_of([source(0, 3), source(3, 5), source(8, 2)], SIDE)


@pytest.fixture(scope="module")
def corpus(toys, tmp_path_factory):
  task, sources = toys
  return generate(task, task.training.recipe, CONFIG, 0, sources, tmp_path_factory.mktemp("corpus"))


def data_of(toys, group):
  task, sources = toys
  return task.draw(sources, fold(stream(0, "corpus", "group", group), "data set"))


def test_checkpoints_are_measured_on_the_data_set_of_their_group(toys, corpus):
  task, _ = toys
  evaluate = jax.jit(functools.partial(population.evaluate, task))
  losses = corpus.read(corpus.metrics["test_loss"])
  for group in range(3):
    own = task.measurement.part(data_of(toys, group), task.training.recipe, "recorded")
    other = task.measurement.part(data_of(toys, (group + 1) % 3), task.training.recipe, "recorded")
    ends = corpus.read(corpus.theta, np.arange(2 * group, 2 * group + 2), -1)
    found = losses[2 * group : 2 * group + 2, -1]
    np.testing.assert_allclose(evaluate(ends, own)["test_loss"], found, rtol=1e-4)
    assert (np.abs(evaluate(ends, other)["test_loss"] - found) > 1e-3).all()


def test_one_data_set_is_a_task_of_its_own():
  family_of_digits, alone = (tasks.get(f"mixes_8x8:digits{number}") for number in ("", "#7"))
  assert family_of_digits.draw is not None and alone.draw is None
  wanted = family_of_digits.data_of(family_of_digits.load(None), stream(0, "corpus", "group", 7))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), alone.load(None), jax.device_get(wanted))
  with pytest.raises(ValueError, match="'mixes_8x8#one': 'one' is not the number of a data set"):
    tasks.get("mixes_8x8#one")


def test_runs_learn_their_data_set(corpus):
  losses = corpus.read(corpus.metrics["train_loss"])
  assert (losses[:, -1] < losses[:, 0] - 0.1).all()


def test_a_family_is_known_by_its_name():
  task = tasks.get("mixes_8x8:digits")
  assert task.name == "mixes_8x8:digits" and task.spec.size == tasks.get("digits").spec.size
  assert tasks.get("mixes_28x28").spec.size == tasks.get("mnist").spec.size
  sources = task.load(None)
  assert sources.train.images.shape[0] == 10 and sources.train.images.shape[2:] == (8, 8)
  data = jax.eval_shape(task.draw, sources, jax.random.key(0))
  assert data.train.images.shape == (4000, 64) and data.recorded.images.shape == data.final.images.shape == (500, 64)


def test_a_name_says_how_many_classes_there_are():
  task = tasks.get("mixes_8x8@3:digits")
  assert task.spec.shapes[-1] == (10, 3)
  data = jax.eval_shape(task.draw, task.load(None), jax.random.key(0))
  assert data.train.images.shape == (1200, 64) and data.final.images.shape == (150, 64)
  assert tasks.get("mixes_8x8@3:digits#7").spec.size == task.spec.size
  for name, same in (("mixes_8x8:digits", "mixes_8x8@3:digits"), ("mixes_8x8#7", "mixes_8x8@3#7")):
    assert family.with_classes(name, 3) == same and family.with_classes(same, 10) == name
  for wrong in ("1", "many"):
    with pytest.raises(ValueError, match=f"mixes_8x8@{wrong}: '{wrong}' is not a number of classes from 2 on"):
      tasks.get(f"mixes_8x8@{wrong}")


def test_sources_without_enough_classes_are_refused():
  with pytest.raises(ConfigError, match="classes: 10 are wanted, and the sources have 5"):
    mixes.check(mixes.sources_of([source(3, 5)], SIDE), family._SIZES)
