"""Pairs of many data sets are of one set each, with what belongs to it, and spread over its metric evenly."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.corpus.families import draw_of_sets, family_source, likely
from g_pt.corpus.pairs import PairsConfig, Runs, draw_places, pair_source, sort_targets
from g_pt.errors import ConfigError
from g_pt.tasks.known import nothing_known
from tests.corpus.pairs_test import METRIC

SETS, RUNS, CHECKPOINTS = 5, 3, 6
CONFIG = PairsConfig(bins=4)
METRICS = METRIC, dataclasses.replace(METRIC, higher_is_better=True, coordinate=lambda value: value)
VALUES = np.float32(np.random.default_rng(0).uniform(0, 2, (SETS, len(METRICS), RUNS, CHECKPOINTS)))


def told_of(number, way):
  """Shares tell the set, counts whether all images are known or few."""
  return nothing_known(4, 3)._replace(share=jnp.full(3, float(number)), count=jnp.full(3, float(way)))


@pytest.fixture(scope="module")
def source():
  """Parameters tell their set, run and checkpoint."""
  number = np.arange(SETS * RUNS * CHECKPOINTS, dtype=np.float32).reshape(SETS, RUNS, CHECKPOINTS, 1)
  told = [[told_of(number, way) for way in range(2)] for number in range(SETS)]
  return family_source(np.repeat(number, 8, axis=3), VALUES, told, METRICS, CONFIG)


@pytest.fixture(scope="module")
def drawn(source):
  return jax.jit(functools.partial(draw_of_sets, source, CONFIG, sets=40, pairs=500))(jax.random.key(0))


def test_pairs_are_of_one_set_and_run_and_go_with_what_is_told(drawn):
  start, target = (np.asarray(x[:, :, 0]).astype(int) for x in (drawn.pairs.start, drawn.pairs.target))
  sets = target // (RUNS * CHECKPOINTS)
  assert (sets == sets[:, :1]).all() and set(sets[:, 0]) == set(range(SETS))
  np.testing.assert_array_equal(start // CHECKPOINTS, target // CHECKPOINTS)
  assert (start < target).all()
  np.testing.assert_array_equal(drawn.told.share[:, 0], sets[:, 0])
  assert set(np.asarray(drawn.told.count[:, 0]).tolist()) == {0, 1} and drawn.inputs.shape == (40, 3, 1, 4)
  by = np.argmax(np.asarray(drawn.by), axis=1)
  assert set(by) == {0, 1} and (drawn.by.sum(axis=1) == 1).all()
  flat = np.stack([VALUES[:, number].ravel() for number in range(2)])[by]
  np.testing.assert_array_equal(drawn.pairs.start_metric, np.take_along_axis(flat, start, axis=1))
  np.testing.assert_array_equal(drawn.pairs.target_metric, np.take_along_axis(flat, target, axis=1))


def test_targets_are_as_likely_as_of_one_set(source):
  """As `draw_places` draws them."""
  for number, by in np.ndindex(SETS, len(METRICS)):
    share = likely(sort_targets(VALUES[number, by], METRICS[by], CONFIG))
    assert share.sum() == pytest.approx(1)
    np.testing.assert_allclose(np.diff(source.share[number, by], prepend=0), share, atol=1e-6)
    theta = np.zeros((RUNS, CHECKPOINTS, 1), np.float32)
    targets = pair_source(Runs(theta, VALUES[number, by]), METRICS[by], CONFIG).targets
    run, _, target = draw_places(targets, CONFIG, jax.random.key(1), 20_000)
    counts = np.bincount(run * (CHECKPOINTS - 1) + target - 1, minlength=len(share))
    assert np.abs(counts - 20_000 * share).max() < 5 * np.sqrt(20_000 * share.max())


def test_the_pairs_of_a_set_spread_so(source, drawn):
  target, which = np.asarray(drawn.pairs.target[:, :, 0]).astype(int), np.argmax(np.asarray(drawn.by), axis=1)
  for number, by in np.ndindex(SETS, len(METRICS)):
    chosen = (target[:, 0] // (RUNS * CHECKPOINTS) == number) & (which == by)
    mine = target[chosen].ravel() % (RUNS * CHECKPOINTS)
    run, checkpoint = np.divmod(mine, CHECKPOINTS)
    counts = np.bincount(run * (CHECKPOINTS - 1) + checkpoint - 1, minlength=RUNS * (CHECKPOINTS - 1))
    share = np.diff(source.share[number, by], prepend=0)
    assert np.abs(counts - len(mine) * share).max() < 5 * np.sqrt(len(mine) * share.max())


def test_runs_that_are_not_sound_are_in_no_pair(source):
  sound = np.ones((SETS, RUNS), bool)
  sound[1, 2] = False
  found = family_source(source.theta, VALUES, [[told_of(0, 0)]] * SETS, METRICS, CONFIG, sound)
  share = np.diff(found.share, prepend=0).reshape(SETS, len(METRICS), RUNS, CHECKPOINTS - 1)
  assert not share[1, :, 2].any() and share[1, :, :2].any(axis=2).all()
  np.testing.assert_allclose(found.share[:, :, -1], 1, rtol=1e-6)
  np.testing.assert_array_equal(found.share[0], source.share[0])


def test_other_pairs_are_refused(source):
  for config in (PairsConfig(weighting="uniform"), PairsConfig(permute=True)):
    with pytest.raises(ConfigError, match="train.pairs: of many data sets, pairs are drawn by weighting=metric"):
      family_source(source.theta, VALUES, [[told_of(0, 0)]] * SETS, METRICS, config)
