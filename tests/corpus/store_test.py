"""A corpus on disk comes back exact or not at all."""

import dataclasses
import json

import numpy as np
import pytest

from g_pt.corpus.store import MANIFEST, Corpus, Manifest, read_manifest
from g_pt.errors import CorpusError

MANIFEST_5 = Manifest(
  task="toy",
  settings={"seed": 0},
  parameters=[["bias", [2]], ["kernel", [2, 3]]],
  metrics=["loss", "error"],
  runs=5,
  checkpoints=3,
  group_size=2,
  versions={},
)


def write_groups(corpus, groups):
  """Fills groups with numbers that none shares, the error of all runs 0; returns theta as it should be read."""
  rng = np.random.default_rng(0)
  theta = rng.normal(size=(5, 3, 8)).astype(np.float32)
  for group in groups:
    runs = corpus.runs_of_group(group)
    metrics = {"loss": theta[runs, :, 0], "error": np.zeros((len(runs), 3), np.float32)}
    corpus.write_group(group, theta[runs], metrics, np.tile(np.int32([0, 1, 9]), (len(runs), 1)), seconds=1.5)
  return theta


@pytest.fixture
def corpus(tmp_path):
  """A whole corpus of three groups."""
  corpus = Corpus.create(tmp_path / "corpus", MANIFEST_5)
  write_groups(corpus, range(3))
  return corpus


def stored(corpus):
  """Every array by name, opened anew as training does."""
  corpus = Corpus.open(corpus.path)
  return {"theta": corpus.theta, "step": corpus.step, **{f"metrics/{k}": v for k, v in corpus.metrics.items()}}


def chunks(corpus, name):
  """The files that hold the numbers of one array."""
  return sorted(file for file in (corpus.path / name).rglob("*") if file.is_file() and file.name != "zarr.json")


def test_what_is_written_is_read(corpus):
  reopened = Corpus.open(corpus.path)
  theta = write_groups(Corpus.create(corpus.path.with_name("other"), MANIFEST_5), range(3))
  np.testing.assert_array_equal(reopened.read(reopened.theta), theta)
  np.testing.assert_array_equal(reopened.read(reopened.theta, 3), theta[3])
  np.testing.assert_array_equal(reopened.read(reopened.metrics["loss"]), theta[:, :, 0])
  np.testing.assert_array_equal(reopened.read(reopened.metrics["error"]), np.zeros((5, 3)))
  np.testing.assert_array_equal(reopened.read(reopened.step), [[0, 1, 9]] * 5)
  assert reopened.manifest == dataclasses.replace(MANIFEST_5, groups_done=[0, 1, 2], seconds=4.5)


def test_groups_may_come_in_any_order_and_are_named_once_whole(tmp_path):
  corpus = Corpus.create(tmp_path, MANIFEST_5)
  assert read_manifest(tmp_path).groups_done == [] and not corpus.manifest.complete
  write_groups(corpus, [2])
  write_groups(corpus, [0])
  write_groups(corpus, [2])
  assert read_manifest(tmp_path).groups_done == [0, 2] and not corpus.manifest.complete
  write_groups(corpus, [1])
  assert read_manifest(tmp_path).complete
  assert [list(corpus.runs_of_group(group)) for group in range(3)] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("name", ["theta", "step", "metrics/loss", "metrics/error"])
def test_a_flipped_byte_is_an_error_anywhere_in_a_chunk(corpus, name):
  file = chunks(corpus, name)[1]
  content = file.read_bytes()
  for place in {0, len(content) // 2, len(content) - 1}:
    damaged = bytearray(content)
    damaged[place] ^= 0x10
    file.write_bytes(damaged)
    with pytest.raises(CorpusError, match=str(corpus.path)) as error:
      corpus.read(stored(corpus)[name])
    assert "\n" not in str(error.value)
  file.write_bytes(content)
  corpus.read(stored(corpus)[name])


@pytest.mark.parametrize("name", ["theta", "metrics/error"])
def test_a_chunk_cut_short_or_lost_is_an_error(corpus, name):
  file = chunks(corpus, name)[0]
  file.write_bytes(file.read_bytes()[:-7])
  with pytest.raises(CorpusError, match=str(corpus.path)):
    corpus.read(stored(corpus)[name])
  file.unlink()
  with pytest.raises(CorpusError, match=str(corpus.path)):
    corpus.read(stored(corpus)[name])


def test_a_lost_array_is_an_error(corpus):
  (corpus.path / "step" / "zarr.json").unlink()
  with pytest.raises(CorpusError, match=str(corpus.path)) as error:
    Corpus.open(corpus.path)
  assert "\n" not in str(error.value)


def changed(**fields):
  return json.dumps(dataclasses.asdict(MANIFEST_5) | fields)


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("{", "not a corpus manifest"),
    ("[]", "not a corpus manifest"),
    ('{"task": "toy"}', "not a corpus manifest"),
    (changed(format=2), "format 2; this version reads format 1"),
    (changed(extra=1), "not a corpus manifest.*extra"),
  ],
)
def test_a_manifest_that_cannot_be_read_is_named(tmp_path, text, message):
  (tmp_path / MANIFEST).write_text(text)
  with pytest.raises(CorpusError, match=message) as error:
    Corpus.open(tmp_path)
  assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_no_corpus_is_an_error_that_names_the_place(tmp_path):
  with pytest.raises(CorpusError, match=f"{tmp_path}: no corpus here"):
    Corpus.open(tmp_path)
