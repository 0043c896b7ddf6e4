"""A cut is a corpus of its own, and each of its runs is for what it was for in the corpus that was cut."""

import dataclasses
import shutil

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from g_pt.corpus import cut
from g_pt.corpus.generate import CorpusConfig, generate, open_matching
from g_pt.corpus.split import SplitConfig, held_out_from, split_runs
from g_pt.corpus.store import Corpus
from g_pt.errors import CorpusError, UserError
from tests.corpus.split_test import MANIFEST, contents, write

CONFIG = SplitConfig(validation_runs=4, test_runs=4)
IMPORTED = {"imported": {"source": "/home/somebody/datasets/mnist/"}}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
  """23 runs in groups of 5, the last of 3; six are unsound."""
  return write(tmp_path_factory.mktemp("whole"), *contents())


def room_for(manifest, runs):
  """Bytes that so many runs and no more fit into."""
  return cut.size(dataclasses.replace(manifest, runs=runs))


def chosen(corpus, runs, config=CONFIG):
  return cut.within(corpus.manifest, (0, *held_out_from(corpus, config)), room_for(corpus.manifest, runs))


def cut_to(corpus, runs, out, config=CONFIG):
  return cut.copy(corpus, chosen(corpus, runs, config), out)


def files(corpus):
  return {str(f.relative_to(corpus.path)): f.read_bytes() for f in corpus.path.rglob("*") if f.is_file()}


def test_a_copy_of_all_runs_is_the_same_file_for_file(corpus, tmp_path):
  assert files(cut.copy(corpus, cut.whole(corpus.manifest), tmp_path / "copy")) == files(corpus)


@pytest.mark.parametrize("runs", [3, 7, 14, 15, 16, 19, 20])
@pytest.mark.parametrize("settings", [{"seed": 0}, IMPORTED])
def test_a_run_of_a_cut_is_for_what_it_was_for(tmp_path, runs, settings):
  theta, loss, error = contents()
  theta = np.where(np.abs(theta) < 10, theta, 0)  # all sound
  whole = write(tmp_path / "whole", theta, np.ones_like(loss), np.ones_like(error), settings=settings)
  made = Corpus.open(cut_to(whole, runs, tmp_path / "cut").path)
  numbers, manifest = made.original_runs(), made.manifest
  assert manifest.runs == len(numbers) <= runs and manifest.complete and manifest.cut["runs"] == whole.manifest.runs
  np.testing.assert_array_equal(made.read(made.theta), theta[numbers])
  np.testing.assert_array_equal(made.read(made.step), whole.read(whole.step, numbers))
  before, after = split_runs(whole, CONFIG), split_runs(made, CONFIG)
  for of_whole, of_cut in zip(before[:3], after[:3]):  # the first ones of each
    np.testing.assert_array_equal(numbers[of_cut], of_whole[: len(of_cut)])


@pytest.mark.parametrize(("runs", "groups", "size"), [(15, [0, 2, 3], 5), (20, [0, 2, 3], 5), (14, [0, 2, 3], 4)])
def test_groups_are_whole_where_one_of_each_split_fits(corpus, tmp_path, runs, groups, size):
  made = cut_to(corpus, runs, tmp_path / "cut")
  np.testing.assert_array_equal(made.original_groups(np.arange(made.manifest.num_groups)), groups)
  assert made.manifest.group_size == size


@hypothesis.given(data=st.data())
def test_a_cut_has_each_split_and_no_more_than_fits(data):
  size, groups = data.draw(st.integers(1, 9)), data.draw(st.integers(3, 40))
  manifest = dataclasses.replace(MANIFEST, runs=size * groups - data.draw(st.integers(0, size - 1)), group_size=size)
  starts = data.draw(st.sets(st.integers(1, groups - 1), min_size=2, max_size=2))
  validation, test = (size * group for group in sorted(starts))
  runs = data.draw(st.integers(3, manifest.runs))
  found, group_size = cut.within(manifest, (0, validation, test), room_for(manifest, runs))
  assert len(found) <= runs and {0, validation, test} <= set(found.tolist())
  assert group_size == size or len(found) <= 3 * group_size < 3 * size
  if runs == manifest.runs:
    assert len(found) == runs


def test_a_cut_of_a_cut_is_of_the_first_corpus(corpus, tmp_path):
  first = cut_to(corpus, 20, tmp_path / "first")
  second, at_once = cut_to(first, 12, tmp_path / "second"), cut_to(corpus, 12, tmp_path / "at_once")
  assert second.manifest == at_once.manifest and files(second) == files(at_once)


def test_too_little_room_is_refused(corpus):
  with pytest.raises(UserError, match="--tiny: a run of each split is .* MB, and there is room for"):
    chosen(corpus, 2)


def test_the_folder_that_runs_were_imported_from_is_not_named(tmp_path):
  whole = write(tmp_path / "whole", *contents(), settings=IMPORTED)
  assert cut.copy(whole, cut.whole(whole.manifest), tmp_path / "copy").manifest.imported["source"] == "mnist"


def test_a_damaged_corpus_is_not_copied(corpus, tmp_path):
  path = shutil.copytree(corpus.path, tmp_path / "damaged")
  shard = path / "theta" / "c" / "1" / "0" / "0"
  shard.write_bytes(shard.read_bytes()[:100] + b"x" + shard.read_bytes()[101:])
  with pytest.raises(CorpusError, match=f"{path}: .*--stage=corpus makes its group again"):
    cut.copy(Corpus.open(path), cut.whole(corpus.manifest), tmp_path / "copy")
  assert Corpus.open(tmp_path / "copy").manifest.groups_done == [0]


@pytest.fixture(scope="module")
def made(toy, tmp_path_factory):
  """(a cut of a corpus of the toy task, what makes the whole at any place)."""
  recipe, config = dataclasses.replace(toy.training.recipe, optimizer="sgd"), CorpusConfig(8, 3, "log", 2)

  def make(path):
    return generate(toy, recipe, config, 3, toy.load(None), path)

  folder = tmp_path_factory.mktemp("made")
  return cut_to(make(folder / "whole"), 6, folder / "cut", SplitConfig(validation_runs=2, test_runs=2)), make


def test_a_cut_opens_under_the_settings_of_the_whole_and_is_not_made_again(made, tmp_path):
  found, make = made
  path = shutil.copytree(found.path, tmp_path / "cut")
  assert make(path).manifest == found.manifest
  (path / "theta" / "c" / "1" / "0" / "0").unlink()
  opened = make(path)
  with pytest.raises(CorpusError, match="fetch it again"):
    opened.read(opened.theta)


def test_a_cut_of_which_groups_are_missing_is_refused(made, tmp_path):
  found, _ = made
  unfinished = Corpus.create(tmp_path, dataclasses.replace(found.manifest, groups_done=[0]))
  with pytest.raises(CorpusError, match=f"{tmp_path}: cut from a larger corpus, and groups of it are missing"):
    open_matching(tmp_path, unfinished.manifest)
