"""Unsound runs are dropped and counted; whole groups are held out, and no run is of two kinds."""

import dataclasses

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from g_pt.corpus.manifest import Manifest
from g_pt.corpus.split import SplitConfig, census, sound, split_runs, used_checkpoints
from g_pt.corpus.store import Corpus
from g_pt.errors import CorpusError

RUNS, CHECKPOINTS, SIZE = 23, 7, 8
MANIFEST = Manifest(
  task="toy",
  settings={},
  parameters=[["bias", [2]], ["kernel", [2, 3]]],
  metrics=["error", "loss"],
  runs=RUNS,
  checkpoints=CHECKPOINTS,
  group_size=5,
  versions={},
)
UNSOUND = (0, 5, 11, 12, 18, 22)


def contents():
  """theta, loss and error of a corpus with one run of each kind that does not count."""
  rng = np.random.default_rng(0)
  theta = rng.normal(size=(RUNS, CHECKPOINTS, SIZE)).astype(np.float32)
  loss, error = rng.uniform(size=(2, RUNS, CHECKPOINTS)).astype(np.float32)
  theta[0, 3, 4] = np.nan
  theta[5, 6, 0] = -np.inf
  theta[11, 1, 7] = 10.1
  theta[12, 0, 0] = -10.1
  loss[22, 6] = np.inf
  error[18, 0] = np.nan
  theta[13, 2, 2] = -10.0  # exactly at the bound, which counts
  return theta, loss, error


def write(path, theta, loss, error, groups=None, **changes):
  corpus = Corpus.create(path, dataclasses.replace(MANIFEST, **{"runs": len(theta)} | changes))
  for group in range(corpus.manifest.num_groups) if groups is None else groups:
    runs = corpus.runs_of_group(group)
    steps = np.tile(np.arange(CHECKPOINTS, dtype=np.int32), (len(runs), 1))
    corpus.write_group(group, theta[runs], {"loss": loss[runs], "error": error[runs]}, steps)
  return corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
  return write(tmp_path_factory.mktemp("corpus"), *contents())


def test_sound_runs_are_finite_and_not_exploded(corpus):
  np.testing.assert_array_equal(np.flatnonzero(~sound(corpus, 10.0)), UNSOUND)
  assert not sound(corpus, 9.9)[13]


def test_the_last_groups_are_held_out_and_unsound_runs_counted(corpus):
  """Runs 20 to 22 are the last group, too small for four; before them are groups of five."""
  split = split_runs(corpus, SplitConfig(validation_runs=4, test_runs=4))
  np.testing.assert_array_equal(split.test, [15, 16, 17, 19, 20, 21])
  np.testing.assert_array_equal(split.validation, [10, 13, 14])
  np.testing.assert_array_equal(split.train, [1, 2, 3, 4, 6, 7, 8, 9])
  assert split.rejected == len(UNSOUND)


def test_a_weight_s_limit_is_that_of_the_settings(corpus):
  split = split_runs(corpus, SplitConfig(validation_runs=4, test_runs=4, largest_weight=11.0))
  assert {11, 12} <= set(split.validation.tolist()) and split.rejected == len(UNSOUND) - 2


def groups_needed(sizes, count):
  """How many of the last groups hold that many runs."""
  taken = 0
  while sizes and taken < count:
    taken += sizes.pop()
  return sizes if taken >= count else None


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
  """(runs, size of a group) -> a corpus in which every fifth run is unsound, made once."""
  made = {}

  def corpora(runs, group_size):
    if (runs, group_size) not in made:
      theta = np.zeros((runs, CHECKPOINTS, SIZE), np.float32)
      theta[4::5, 2] = np.nan
      metric = np.zeros((runs, CHECKPOINTS), np.float32)
      path = tmp_path_factory.mktemp("corpus")
      made[runs, group_size] = write(path, theta, metric, metric, group_size=group_size)
    return made[runs, group_size]

  return corpora


@hypothesis.given(st.sampled_from([12, 23]), st.sampled_from([1, 3, 8]), st.integers(1, 9), st.integers(1, 9))
def test_whole_groups_are_held_out_and_no_group_is_of_two_kinds(corpora, runs, group_size, validation_runs, test_runs):
  corpus = corpora(runs, group_size)
  config = SplitConfig(validation_runs=validation_runs, test_runs=test_runs)
  sizes = [len(corpus.runs_of_group(group)) for group in range(corpus.manifest.num_groups)]
  left = groups_needed(list(sizes), test_runs)
  first_of_test = None if left is None else len(left)
  left = left and groups_needed(left, validation_runs)
  bounds = None if not left else (len(left), first_of_test)
  good = [run for run in range(runs) if run % 5 != 4]
  kinds = [[], [], []]
  for run in good:
    group = run // group_size
    kinds[0 if not bounds or group < bounds[0] else 1 if group < bounds[1] else 2].append(run)
  if not bounds or not all(kinds):
    with pytest.raises(CorpusError, match="leave none for"):
      split_runs(corpus, config)
    return
  split = split_runs(corpus, config)
  assert [split.train.tolist(), split.validation.tolist(), split.test.tolist()] == kinds
  assert split.rejected == runs - len(good)
  groups = [{run // group_size for run in part.tolist()} for part in (split.train, split.validation, split.test)]
  assert sum(map(len, groups)) == len(set.union(*groups))


def test_fewer_runs_are_the_first_for_training_and_the_others_stay(corpus):
  whole = split_runs(corpus, SplitConfig(validation_runs=4, test_runs=4))
  for count in (1, 5, len(whole.train)):
    fewer = split_runs(corpus, SplitConfig(validation_runs=4, test_runs=4, used_runs=count))
    np.testing.assert_array_equal(fewer.train, whole.train[:count])
    np.testing.assert_array_equal(fewer.validation, whole.validation)
    np.testing.assert_array_equal(fewer.test, whole.test)
    assert fewer.rejected == whole.rejected


def test_more_runs_or_checkpoints_than_there_are_is_refused(corpus):
  config = SplitConfig(validation_runs=4, test_runs=4, used_runs=9, used_checkpoints=8)
  with pytest.raises(CorpusError, match=f"{corpus.path}: corpus.used_runs=9 of 8 training runs"):
    split_runs(corpus, config)
  with pytest.raises(CorpusError, match=f"{corpus.path}: corpus.used_checkpoints=8 of 7 checkpoints of a run"):
    used_checkpoints(corpus, config)


@pytest.mark.parametrize("count", [None, *range(2, CHECKPOINTS + 1)])
def test_fewer_checkpoints_are_evenly_spaced_from_the_first_to_the_last(corpus, count):
  used = used_checkpoints(corpus, SplitConfig(used_checkpoints=count))
  assert len(used) == (count or CHECKPOINTS) and used[0] == 0 and used[-1] == CHECKPOINTS - 1
  assert np.ptp(np.diff(used)) <= 1 and np.diff(used).min() >= 1


def test_runs_made_elsewhere_share_nothing_that_is_known(tmp_path):
  imported = {"imported": {"source": "somewhere"}}
  split = split_runs(write(tmp_path, *contents(), settings=imported), SplitConfig(validation_runs=4, test_runs=4))
  np.testing.assert_array_equal(split.test, [19, 20, 21])
  np.testing.assert_array_equal(split.validation, [15, 16, 17])


def test_an_unfinished_corpus_is_refused(tmp_path):
  corpus = write(tmp_path, *contents(), groups=(0, 2))
  with pytest.raises(CorpusError, match=r"unfinished \(2 of 5 groups are there\); run --stage=corpus"):
    split_runs(corpus, SplitConfig(validation_runs=4, test_runs=4))


@pytest.mark.parametrize(
  ("config", "message"),
  [
    ({"validation_runs": 4, "test_runs": 14}, "leave none for training"),
    ({"validation_runs": 11, "test_runs": 9}, "leave none for training"),
    ({"validation_runs": 1, "test_runs": 23}, "leave none for training"),
    ({"validation_runs": 4, "test_runs": 4, "largest_weight": 0.1}, r"23 runs in groups of 5 \(23 rejected\) leave"),
  ],
)
def test_too_few_sound_runs_are_refused(corpus, config, message):
  with pytest.raises(CorpusError, match=f"{corpus.path}: .*{message}") as error:
    split_runs(corpus, SplitConfig(**config))
  assert "\n" not in str(error.value)
  assert f"corpus.test_runs={config['test_runs']}" in str(error.value)


def test_the_census_counts_the_kinds(corpus):
  split = split_runs(corpus, SplitConfig(validation_runs=4, test_runs=4))
  metric = corpus.read(corpus.metrics["loss"], split.train)
  found = census(split, metric)
  assert found[:5] == (8, 3, 6, 6, CHECKPOINTS)
  assert found.final_mean == pytest.approx(contents()[1][split.train, -1].mean(), rel=1e-6)
