"""Training that reads its pairs from disk sees those that it would draw on the device, in the same order."""

import jax
import numpy as np
import pytest

from g_pt import sharding
from g_pt.corpus.pairs import PairsConfig, Stored
from g_pt.errors import CorpusError
from g_pt.keys import stream
from g_pt.train import feed
from g_pt.train.loop import train
from tests.train.loop_test import Killed, assert_same, killed_at, lines

KEY = stream(0, "train", "step")


@pytest.fixture(scope="module")
def stored(source):
  """The same runs, as a disk gives them."""
  theta = np.asarray(source.theta)
  return Stored(lambda run, checkpoint: theta[run, checkpoint], source.targets)


def fed(step, source, first, count):
  with feed.feeding(step, source, KEY, first) as batches:
    return [jax.device_get(next(batches)) for _ in range(count)]


@pytest.mark.parametrize("permute", [False, True])
def test_streamed_training_is_resident_training(source, stored, step_of, tmp_path, permute):
  """To the last bit, as the pairs are the same and so is what is made of them."""
  changes = {"pairs": PairsConfig(bins=4, permute=permute)}
  resident, streamed = (
    train(step_of(**changes), which, 0, tmp_path / name) for name, which in (("resident", source), ("streamed", stored))
  )
  assert_same(streamed, resident)
  assert lines(tmp_path / "streamed") == lines(tmp_path / "resident")


def test_a_killed_training_reads_on_where_its_checkpoint_was(stored, step_of, tmp_path):
  whole = train(step_of(), stored, 0, tmp_path / "whole", lambda weights: {"probe": 1.0})
  with pytest.raises(Killed):
    train(step_of(), stored, 0, tmp_path / "killed", killed_at(2))
  assert_same(train(step_of(), stored, 0, tmp_path / "killed", lambda weights: {"probe": 1.0}), whole)
  assert lines(tmp_path / "killed") == lines(tmp_path / "whole")


def test_batches_follow_from_the_step_alone(stored, step_of):
  step = step_of()
  from_start, later = fed(step, stored, 0, 5), fed(step, stored, 3, 2)
  assert_same(later, from_start[3:])
  assert (from_start[0].target != from_start[1].target).any()
  with feed.feeding(step, stored, KEY, step.config.steps - 1) as batches:
    assert len(list(batches)) == 1


def test_a_batch_is_cut_over_devices_and_each_part_read_once(stored, step_of):
  asked = []

  def points(run, checkpoint):
    asked.append(len(run))
    return stored.points(run, checkpoint)

  step = step_of(devices=4)
  with feed.feeding(step, stored._replace(points=points), KEY, step.config.steps - 1) as batches:
    (batch,) = batches
  assert asked == [2 * step.config.batch_size]
  assert {part.data.shape[:2] for part in batch.start.addressable_shards} == {(2, 2)}
  assert_same(jax.device_get(batch), fed(step_of(), stored, step.config.steps - 1, 1)[0])


def test_a_chunk_that_cannot_be_read_ends_training_with_its_error(stored, step_of, tmp_path):
  def points(run, checkpoint):
    raise CorpusError("corpora/x: chunk 7 is damaged")

  with pytest.raises(CorpusError, match="corpora/x: chunk 7 is damaged"):
    train(step_of(), stored._replace(points=points), 0, tmp_path)


def test_what_does_not_fit_is_streamed():
  assert feed.fits(2**20) and not feed.fits(2**60)


def test_a_process_reads_what_its_own_devices_work_on(step_of):
  """Of two mesh axes, one that shares a batch and one that does not, each pair is read once."""
  mesh = sharding.make_mesh(sharding.MeshConfig(data=2, tensor=4))
  read = []

  def pairs(columns):
    read.append(columns)
    return np.arange(12.0).reshape(2, 6)[:, columns]

  batch = sharding.batch_of(pairs, 6, mesh)
  (columns,) = read
  np.testing.assert_array_equal(columns, np.arange(6))
  np.testing.assert_array_equal(batch, np.arange(12.0).reshape(2, 6))
  assert {part.data.shape for part in batch.addressable_shards} == {(2, 3)}
