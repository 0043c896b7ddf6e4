"""Pairs of many data sets are of one set each, with what belongs to it, and spread over its metric evenly."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.corpus.families import draw_of_sets, family_source, likely
from g_pt.corpus.pairs import PairsConfig, Runs, draw_places, pair_source, sort_targets
from g_pt.errors import ConfigError
from tests.corpus.pairs_test import METRIC

SETS, RUNS, CHECKPOINTS = 5, 3, 6
CONFIG = PairsConfig(bins=4)
VALUES = np.float32(np.random.default_rng(0).uniform(0, 2, (SETS, RUNS, CHECKPOINTS)))


@pytest.fixture(scope="module")
def source():
  """Parameters tell their set, run and checkpoint."""
  number = np.arange(SETS * RUNS * CHECKPOINTS, dtype=np.float32).reshape(SETS, RUNS, CHECKPOINTS, 1)
  told = [{"mean": jnp.full((2,), float(number))} for number in range(SETS)]
  inputs = np.arange(SETS, dtype=np.float32)[:, None, None] + np.zeros((SETS, 7, 4), np.float32)
  return family_source(np.repeat(number, 8, axis=3), VALUES, told, inputs, METRIC, CONFIG)


@pytest.fixture(scope="module")
def drawn(source):
  return jax.jit(functools.partial(draw_of_sets, source, CONFIG, sets=40, pairs=500))(jax.random.key(0))


def test_pairs_are_of_one_set_and_run_and_go_with_what_is_told(drawn):
  start, target = (np.asarray(x[:, :, 0]).astype(int) for x in (drawn.pairs.start, drawn.pairs.target))
  sets = target // (RUNS * CHECKPOINTS)
  assert (sets == sets[:, :1]).all() and set(sets[:, 0]) == set(range(SETS))
  np.testing.assert_array_equal(start // CHECKPOINTS, target // CHECKPOINTS)
  assert (start < target).all()
  np.testing.assert_array_equal(drawn.told["mean"][:, 0], sets[:, 0])
  np.testing.assert_array_equal(drawn.inputs[:, 3, 2], sets[:, 0])
  flat = VALUES.ravel()
  np.testing.assert_array_equal(drawn.pairs.start_metric, flat[start])
  np.testing.assert_array_equal(drawn.pairs.target_metric, flat[target])


def test_targets_are_as_likely_as_of_one_set(source):
  """As `draw_places` draws them."""
  for number in range(SETS):
    share = likely(sort_targets(VALUES[number], METRIC, CONFIG))
    assert share.sum() == pytest.approx(1)
    np.testing.assert_allclose(np.diff(source.share[number], prepend=0), share, atol=1e-6)
    theta = np.zeros((RUNS, CHECKPOINTS, 1), np.float32)
    targets = pair_source(Runs(theta, VALUES[number]), METRIC, CONFIG).targets
    run, _, target = draw_places(targets, CONFIG, jax.random.key(1), 20_000)
    counts = np.bincount(run * (CHECKPOINTS - 1) + target - 1, minlength=len(share))
    assert np.abs(counts - 20_000 * share).max() < 5 * np.sqrt(20_000 * share.max())


def test_the_pairs_of_a_set_spread_so(source, drawn):
  target = np.asarray(drawn.pairs.target[:, :, 0]).astype(int)
  for number in range(SETS):
    mine = target[target[:, 0] // (RUNS * CHECKPOINTS) == number].ravel() % (RUNS * CHECKPOINTS)
    run, checkpoint = np.divmod(mine, CHECKPOINTS)
    counts = np.bincount(run * (CHECKPOINTS - 1) + checkpoint - 1, minlength=RUNS * (CHECKPOINTS - 1))
    share = np.diff(source.share[number], prepend=0)
    assert np.abs(counts - len(mine) * share).max() < 5 * np.sqrt(len(mine) * share.max())


def test_other_pairs_are_refused(source):
  for config in (PairsConfig(weighting="uniform"), PairsConfig(permute=True)):
    with pytest.raises(ConfigError, match="train.pairs: of many data sets, pairs are drawn by weighting=metric"):
      family_source(source.theta, VALUES, [{}] * SETS, source.inputs, METRIC, config)
