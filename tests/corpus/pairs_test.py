"""Pairs are of one run, later than their start, and spread as their weighting says."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.corpus.pairs import (
  PairsConfig,
  Runs,
  Stored,
  draw_pairs,
  draw_places,
  is_record,
  pair_source,
  permuted,
  read_pairs,
)
from g_pt.errors import ConfigError
from g_pt.tasks import population
from g_pt.tasks.base import Metric

RUNS, CHECKPOINTS, DRAWS = 29, 11, 20_000
KEY = jax.random.key(0)
METRIC = Metric(label="loss", higher_is_better=False, best_prompt=0.0)


@pytest.fixture(scope="module")
def spec(toy):
  return toy.spec


@pytest.fixture(scope="module")
def runs(spec):
  """Every entry of theta tells its run and checkpoint; the loss falls from 2.3 fast, so that high losses are rare."""
  number = np.arange(RUNS * CHECKPOINTS, dtype=np.float32).reshape(RUNS, CHECKPOINTS)
  theta = np.broadcast_to(number[..., None], (RUNS, CHECKPOINTS, spec.size))
  metric = 2.3 * np.exp(-np.arange(CHECKPOINTS)) + np.random.default_rng(0).uniform(0, 0.3, (RUNS, CHECKPOINTS))
  return Runs(np.array(theta), metric.astype(np.float32))


def draw(runs, spec, key=KEY, **config):
  """(pairs, their runs, checkpoints of their starts, of their targets)."""
  config = PairsConfig(**config)
  source = pair_source(runs, METRIC, config)
  pairs = jax.jit(functools.partial(draw_pairs, config=config, batch=DRAWS))(source, key=key)
  places = [np.asarray(theta[:, 0]).astype(int) for theta in (pairs.start, pairs.target)]
  start, target = (place % CHECKPOINTS for place in places)
  np.testing.assert_array_equal(places[0] // CHECKPOINTS, places[1] // CHECKPOINTS)
  return pairs, places[0] // CHECKPOINTS, start, target


def assert_even(counts):
  """Within five standard deviations of an even spread."""
  expected = counts.sum() / len(counts)
  assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize("weighting", ["metric", "uniform"])
def test_a_target_is_later_than_its_start_in_the_same_run(runs, spec, weighting):
  pairs, run, start, target = draw(runs, spec, weighting=weighting)
  assert (target > start).all() and set(target) == set(range(1, CHECKPOINTS)) and set(run) == set(range(RUNS))
  # Whole checkpoints, with their own metrics.
  np.testing.assert_array_equal(pairs.start, np.tile(pairs.start[:, :1], (1, spec.size)))
  np.testing.assert_array_equal(pairs.target, np.tile(pairs.target[:, :1], (1, spec.size)))
  np.testing.assert_array_equal(pairs.start_metric, runs.metric[run, start])
  np.testing.assert_array_equal(pairs.target_metric, runs.metric[run, target])


@pytest.mark.parametrize("weighting", ["metric", "uniform"])
def test_pairs_are_at_the_places_that_are_drawn(runs, spec, weighting):
  """So that what is measured of places is measured of the pairs that training sees."""
  config = PairsConfig(weighting=weighting)
  source = pair_source(runs, METRIC, config)
  pairs = draw_pairs(source, config, KEY, 500)
  run, start, target = draw_places(source.targets, config, KEY, 500)
  np.testing.assert_array_equal(pairs.start[:, 0], run * CHECKPOINTS + start)
  np.testing.assert_array_equal(pairs.target[:, 0], run * CHECKPOINTS + target)


def test_the_key_alone_decides(runs, spec):
  first, again, other = (draw(runs, spec, key)[0] for key in (KEY, KEY, jax.random.key(1)))
  np.testing.assert_array_equal(first.target, again.target)
  assert (first.target[:, 0] != other.target[:, 0]).mean() > 0.9


def test_metric_weighting_covers_the_metric_evenly(runs, spec):
  bins = 8
  pairs, _, _, target = draw(runs, spec, weighting="metric", bins=bins)
  coordinate = np.asarray(METRIC.coordinate(jnp.asarray(runs.metric[:, 1:])))
  edges = np.linspace(*np.quantile(coordinate, [0.005, 0.995]), bins + 1)
  edges[0], edges[-1] = -np.inf, np.inf
  drawn = np.histogram(np.asarray(METRIC.coordinate(pairs.target_metric)), edges)[0]
  assert_even(drawn)
  # The corpus itself is far from even.
  there = np.histogram(coordinate, edges)[0]
  assert there.max() > 3 * there.min() > 0
  # Within a bin every checkpoint is as likely.
  place = np.digitize(coordinate, edges) - 1
  fullest = np.argmax(there)
  number = np.asarray(pairs.target[:, 0]).astype(int)
  members = [run * CHECKPOINTS + checkpoint + 1 for run, checkpoint in zip(*np.nonzero(place == fullest))]
  assert_even(np.array([(number == member).sum() for member in members]))


def test_metric_weighting_starts_anywhere_before_the_target(runs, spec):
  _, _, start, target = draw(runs, spec, weighting="metric")
  for checkpoint in (1, 2, 10):
    assert_even(np.bincount(start[target == checkpoint], minlength=checkpoint))


def test_outliers_are_drawn_no_more_often_than_others(spec):
  """One in 4,000 targets beyond all others, and one in a wide gap between them."""
  metric = np.random.default_rng(0).uniform(0, 0.01, (2000, 3)) + np.array([9.0, 2.0, 1.0])
  metric[7, 2], metric[8, 2] = 50.0, 1.45
  runs = Runs(np.zeros((2000, 3, spec.size), np.float32), metric.astype(np.float32))
  source = pair_source(runs, METRIC, PairsConfig(bins=4)).targets
  np.testing.assert_array_equal(np.sort(source.by_metric), np.arange(4000))
  drawn = [
    set(np.asarray(source.by_metric)[start : start + count].tolist())
    for start, count in zip(source.bin_start.tolist(), source.bin_count.tolist())
  ]
  assert sum(len(members) for members in drawn) == 3999
  assert not any(8 * 2 + 1 in members for members in drawn)
  (with_outlier,) = [members for members in drawn if 7 * 2 + 1 in members]
  assert len(with_outlier) > 1000


def test_uniform_weighting_is_the_paper_s(runs, spec):
  _, run, start, target = draw(runs, spec, weighting="uniform")
  assert_even(np.bincount(run, minlength=RUNS))
  spacing = target - start
  assert_even(np.bincount(spacing, minlength=CHECKPOINTS)[1:])
  for gap in (1, 4, CHECKPOINTS - 1):
    assert_even(np.bincount(start[spacing == gap], minlength=CHECKPOINTS - gap))


@pytest.mark.parametrize("higher_is_better", [False, True])
def test_records_are_better_than_all_before_them(spec, higher_is_better):
  metric = dataclasses.replace(METRIC, higher_is_better=higher_is_better)
  values = np.random.default_rng(0).normal(size=(RUNS, CHECKPOINTS)).astype(np.float32) + 5
  runs = Runs(np.zeros((RUNS, CHECKPOINTS, spec.size), np.float32), values)
  source = pair_source(runs, metric, PairsConfig(records=True))
  run, target = np.divmod(np.asarray(source.targets.by_metric), CHECKPOINTS - 1)
  found = set(zip(run.tolist(), (target + 1).tolist()))
  gain = values if higher_is_better else -values
  better = [(r, c) for r in range(RUNS) for c in range(1, CHECKPOINTS) if gain[r, c] > gain[r, 0]]
  best = {(r, c) for r, c in better if all(gain[r, c] > before for before in gain[r, 1:c])}
  assert {(r, c + 1) for r, c in np.argwhere(is_record(values, metric)).tolist()} == best
  assert found == best and 0 < len(best) < len(better)


def test_a_corpus_without_records_is_told_of(spec):
  worse = np.broadcast_to(np.arange(CHECKPOINTS, dtype=np.float32), (RUNS, CHECKPOINTS))
  runs = Runs(np.zeros((RUNS, CHECKPOINTS, spec.size), np.float32), worse)
  with pytest.raises(ConfigError, match="train.pairs.records: no checkpoint of the corpus is better than all before"):
    pair_source(runs, METRIC, PairsConfig(records=True))
  with pytest.raises(ValueError, match="^records: for weighting=metric alone, not uniform"):
    PairsConfig(weighting="uniform", records=True)


@pytest.mark.parametrize("higher_is_better", [False, True])
def test_only_up_to_leaves_out_what_is_better_and_what_follows_it(spec, higher_is_better):
  rng = np.random.default_rng(0)
  values = rng.normal(size=(RUNS, CHECKPOINTS)).astype(np.float32)
  metric = Metric(label="x", higher_is_better=higher_is_better, best_prompt=0.0)
  runs = Runs(np.zeros((RUNS, CHECKPOINTS, spec.size), np.float32), values)
  level = 0.7 if higher_is_better else -0.7
  source = pair_source(runs, metric, PairsConfig(bins=4), level)
  run, start, target = draw_places(source.targets, PairsConfig(bins=4), KEY, DRAWS)
  better = values > level if higher_is_better else values < level
  seen = {(int(r), int(t)) for r, t in zip(run, target)}
  assert seen == {(r, t) for r in range(RUNS) for t in range(1, CHECKPOINTS) if not better[r, : t + 1].any()}
  assert not better[np.asarray(run), np.asarray(start)].any()


def test_only_up_to_where_nothing_is_left_or_pairs_are_uniform_is_told_of(runs):
  with pytest.raises(ConfigError, match="corpus.only_up_to: no checkpoint of the corpus is as bad as 9.0"):
    pair_source(runs, METRIC, PairsConfig(), 9.0)
  with pytest.raises(ConfigError, match="corpus.only_up_to: for train.pairs.weighting=metric alone, not uniform"):
    pair_source(runs, METRIC, PairsConfig(weighting="uniform"), 1.0)


def test_initial_fraction_adds_starts_at_the_initial_network(runs, spec):
  def at_first(fraction):
    _, _, start, target = draw(runs, spec, weighting="metric", initial_fraction=fraction)
    return (start[target == 10] == 0).mean()

  assert at_first(1.0) == 1.0
  assert at_first(0.5) == pytest.approx(0.5 + 0.5 / 10, abs=0.05)
  assert at_first(0.0) == pytest.approx(1 / 10, abs=0.05)


def test_a_permutation_moves_both_members_alike_and_keeps_their_function(toy, spec):
  theta = jax.random.normal(jax.random.key(1), (5, 3, spec.size))
  source = pair_source(Runs(np.asarray(theta), np.ones((5, 3), np.float32)), METRIC, PairsConfig(bins=4))
  plain = draw_pairs(source, PairsConfig(), KEY, 64)
  moved_pairs = jax.jit(lambda pairs: permuted(pairs, spec, KEY))(plain)
  moved = (plain.start != moved_pairs.start).any(axis=1)
  assert moved.mean() > 0.9
  inputs = jax.random.normal(jax.random.key(2), (13, 7))

  @jax.jit
  def outputs(theta):
    return toy.network.apply(population.stack(spec, theta), inputs)

  np.testing.assert_allclose(outputs(moved_pairs.start), outputs(plain.start), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(outputs(moved_pairs.target), outputs(plain.target), rtol=1e-4, atol=1e-5)
  # The same permutation for both: the function of their difference is kept too. Other pairs have other permutations.
  np.testing.assert_allclose(
    outputs(moved_pairs.target - moved_pairs.start), outputs(plain.target - plain.start), rtol=1e-4, atol=1e-5
  )
  order = jax.vmap(lambda a, b: jnp.argmax(a[:5, None] == b[None, :5], axis=1))(moved_pairs.start, plain.start)
  assert len({tuple(row) for row in order.tolist()}) > 30
  # A batch in parts has the permutations that it has as one.
  parts = jax.tree.map(lambda x: x.reshape(4, 16, *x.shape[1:]), plain)
  np.testing.assert_array_equal(permuted(parts, spec, KEY).start.reshape(64, -1), moved_pairs.start)


@pytest.mark.parametrize("weighting", ["metric", "uniform"])
def test_pairs_that_are_read_are_those_that_are_drawn_on_the_device(runs, weighting):
  config = PairsConfig(weighting=weighting)
  source = pair_source(runs, METRIC, config)
  stored = Stored(lambda run, checkpoint: runs.theta[run, checkpoint], source.targets)
  drawn, places = draw_pairs(source, config, KEY, 50), draw_places(source.targets, config, KEY, 50)
  for read in (read_pairs(stored, places), read_pairs(source, places)):
    jax.tree.map(np.testing.assert_array_equal, read, drawn)
