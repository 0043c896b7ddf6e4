"""A corpus on disk comes back exact or not at all."""

import dataclasses
import json
import os
import resource
import signal

import numpy as np
import pytest
import tensorstore as ts

from g_pt.corpus.manifest import MANIFEST, Manifest, read_manifest
from g_pt.corpus.store import Corpus
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
  alone = {name: getattr(corpus, name) for name in ("theta", "step", "largest")}
  return alone | {f"metrics/{name}": array for name, array in corpus.metrics.items()}


ARRAYS = ("theta", "step", "largest", "metrics/loss", "metrics/error")
CHUNK = 3 * 8 * 4 + 4  # bytes of one run's theta and its checksum
INDEX = 2 * 16 + 4  # place and length of two runs, and the checksum


def shards(corpus, name):
  """The files that hold the numbers of one array, one a group."""
  return sorted(file for file in (corpus.path / name).rglob("*") if file.is_file() and file.name != "zarr.json")


def flip(file, place):
  content = bytearray(file.read_bytes())
  content[place] ^= 0x10
  file.write_bytes(content)


def test_what_is_written_is_read(corpus):
  reopened = Corpus.open(corpus.path)
  theta = write_groups(Corpus.create(corpus.path.with_name("other"), MANIFEST_5), range(3))
  np.testing.assert_array_equal(reopened.read(reopened.theta), theta)
  np.testing.assert_array_equal(reopened.read(reopened.metrics["loss"]), theta[:, :, 0])
  np.testing.assert_array_equal(reopened.read(reopened.metrics["error"]), np.zeros((5, 3)))
  np.testing.assert_array_equal(reopened.read(reopened.step), [[0, 1, 9]] * 5)
  np.testing.assert_array_equal(reopened.read(reopened.largest), np.abs(theta).max(axis=(1, 2)))
  assert reopened.manifest == dataclasses.replace(MANIFEST_5, groups_done=[0, 1, 2], seconds=4.5)


@pytest.mark.parametrize("block", [1, 2 * CHUNK, 2**25])
def test_parts_are_those_of_the_whole(corpus, monkeypatch, block):
  """However few runs are read at once, and in any order."""
  monkeypatch.setattr("g_pt.corpus.store._BLOCK", block)
  theta, step, largest = (corpus.read(array) for array in (corpus.theta, corpus.step, corpus.largest))
  for rows in (3, -1, slice(1, 4), slice(3, 99), np.array([4, 0, 4, 2]), np.array([], int), step[:, 0] == 0):
    np.testing.assert_array_equal(corpus.read(corpus.theta, rows), theta[rows])
    np.testing.assert_array_equal(corpus.read(corpus.largest, rows), largest[rows])
    for checkpoint in (0, 2, -1):
      np.testing.assert_array_equal(corpus.read(corpus.theta, rows, checkpoint), theta[rows, checkpoint])
      np.testing.assert_array_equal(corpus.read(corpus.step, rows, checkpoint=checkpoint), step[rows, checkpoint])
  runs, checkpoints = np.array([4, 0, 4, 2, 0, 4]), np.array([1, 0, 2, 2, 0, -1])
  np.testing.assert_array_equal(corpus.read_points(runs, checkpoints), theta[runs, checkpoints])
  assert corpus.read_points(runs[:0], runs[:0]).shape == (0, 8)


def test_what_is_not_there_cannot_be_read(tmp_path):
  """Neither runs and checkpoints beyond the last, nor a group that is not written yet."""
  corpus = Corpus.create(tmp_path, MANIFEST_5)
  write_groups(corpus, [0])
  for name, array in stored(corpus).items():
    with pytest.raises(CorpusError, match=f"{tmp_path}.*{name}"):
      corpus.read(array)
    with pytest.raises(IndexError):
      corpus.read(array, np.array([0, 5]))
  with pytest.raises(IndexError):
    corpus.read(corpus.theta, 0, checkpoint=3)
  with pytest.raises(IndexError):
    corpus.read_points(np.array([0]), np.array([3]))


def bytes_read(function):
  """How many bytes TensorStore takes from files while the function runs."""

  def total():
    (metric,) = ts.experimental_collect_matching_metrics("/tensorstore/kvstore/file/bytes_read", True)
    return sum(value["value"] for value in metric["values"])

  before = total()
  function()
  return total() - before


def test_a_run_is_read_alone_and_once(tmp_path, monkeypatch):
  """Of a shard of five runs only its index and the chunks wanted are read, however many points are of one run."""
  corpus = Corpus.create(tmp_path, dataclasses.replace(MANIFEST_5, group_size=5))
  write_groups(corpus, [0])
  index = 5 * 16 + 4
  assert bytes_read(lambda: corpus.read(corpus.theta, 3)) == CHUNK + index
  assert bytes_read(lambda: corpus.read(corpus.theta, np.array([3]), checkpoint=0)) == CHUNK + index
  # TensorStore reads small gaps between chunks along; not where it reads one run at a time.
  monkeypatch.setattr("g_pt.corpus.store._BLOCK", 1)
  points = np.array([3, 1, 3, 1, 3]), np.array([0, 0, 1, 2, 0])
  assert bytes_read(lambda: corpus.read_points(*points)) == 2 * (CHUNK + index)


def test_the_largest_weight_is_known_without_the_weights(tmp_path):
  """It is a magnitude, of every checkpoint, and inf where one number of a run is not finite."""
  theta = np.zeros((2, 3, 8), np.float32)
  theta[0, 1, 3], theta[0, 2, 7], theta[1, 0, 0] = 2.5, -7, -0.5
  corpus = Corpus.create(tmp_path, dataclasses.replace(MANIFEST_5, runs=2))
  for number, expected in [(0, [7, 0.5]), (np.nan, [7, np.inf]), (np.inf, [7, np.inf]), (-np.inf, [7, np.inf])]:
    theta[1, 2, 4] = number
    metrics = {"loss": theta[:, :, 0], "error": theta[:, :, 0]}
    corpus.write_group(0, theta, metrics, np.zeros((2, 3), np.int32))
    np.testing.assert_array_equal(corpus.read(stored(corpus)["largest"]), expected)


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


@pytest.mark.parametrize("name", ARRAYS)
def test_a_group_is_named_only_when_every_array_is_written(tmp_path, name):
  """Whichever array fails; what is there of the group does not hinder that it is written again."""
  corpus = Corpus.create(tmp_path, MANIFEST_5)
  obstacle = tmp_path / name / "c"
  obstacle.write_text("a file where a folder must be")
  with pytest.raises(ValueError, match=str(obstacle)):
    write_groups(corpus, [0])
  assert read_manifest(tmp_path).groups_done == corpus.manifest.groups_done == []
  obstacle.unlink()
  corpus = Corpus.open(tmp_path, writable=True)
  theta = write_groups(corpus, range(3))
  np.testing.assert_array_equal(corpus.read(stored(corpus)["theta"]), theta)
  assert read_manifest(tmp_path).complete


def test_a_group_killed_while_it_was_written_is_written_again(corpus):
  """Of a killed process, files cut short lie beside shards, and shards that no manifest names."""
  theta = corpus.read(corpus.theta)
  for name in ARRAYS:
    for shard in shards(corpus, name):
      shard.with_name(f"{shard.name}.__lock").write_bytes(shard.read_bytes()[:50][::-1])
      if name == "theta":
        flip(shard, 5)
      else:
        shard.unlink()
  unnamed = dataclasses.replace(corpus.manifest, groups_done=[])
  (corpus.path / MANIFEST).write_text(json.dumps(dataclasses.asdict(unnamed)))
  write_groups(Corpus.open(corpus.path, writable=True), range(3))
  np.testing.assert_array_equal(corpus.read(stored(corpus)["theta"]), theta)
  for array in stored(corpus).values():
    corpus.read(array)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_flipped_byte_is_an_error_anywhere_in_a_shard(corpus, name):
  """In the chunk of either run, in the index and in every checksum."""
  file = shards(corpus, name)[1]
  size = file.stat().st_size
  places = {*range(0, size, 13), *range(size - INDEX, size, 8), size - 5, size - 1}
  for place in places:
    flip(file, place)
    with pytest.raises(CorpusError, match=f"{corpus.path}.*{file}") as error:
      corpus.read(stored(corpus)[name])
    assert "\n" not in str(error.value)
    flip(file, place)
  corpus.read(stored(corpus)[name])


def test_damage_in_a_run_leaves_the_others(corpus):
  theta = corpus.read(corpus.theta)
  file = shards(corpus, "theta")[1]
  assert file.stat().st_size == 2 * CHUNK + INDEX
  flip(file, CHUNK + 20)  # of run 3
  damaged = Corpus.open(corpus.path)
  sound = np.array([0, 1, 2, 4])
  np.testing.assert_array_equal(damaged.read(damaged.theta, sound), theta[sound])
  np.testing.assert_array_equal(damaged.read_points(sound, np.array([0, 1, 2, 1])), theta[sound, [0, 1, 2, 1]])
  np.testing.assert_array_equal(damaged.read(damaged.metrics["loss"]), theta[:, :, 0])
  for read in (
    lambda: damaged.read(damaged.theta, 3),
    lambda: damaged.read(damaged.theta, np.array([0, 3]), checkpoint=2),
    lambda: damaged.read_points(np.array([0, 3]), np.array([0, 2])),
  ):
    with pytest.raises(CorpusError, match=f"{corpus.path}.*{file}"):
      read()


def test_damage_in_an_index_is_an_error_of_that_group_alone(corpus):
  theta = corpus.read(corpus.theta)
  file = shards(corpus, "theta")[1]
  flip(file, file.stat().st_size - INDEX)  # where run 2 begins
  damaged = Corpus.open(corpus.path)
  np.testing.assert_array_equal(damaged.read(damaged.theta, np.array([1, 4])), theta[[1, 4]])
  for run in (2, 3):
    with pytest.raises(CorpusError, match=f"{corpus.path}.*{file}"):
      damaged.read(damaged.theta, run)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_shard_cut_short_or_lost_is_an_error(corpus, name):
  for file in (shards(corpus, name)[0], shards(corpus, name)[-1]):
    content = file.read_bytes()
    for size in (len(content) - 7, 3, 0):
      file.write_bytes(content[:size])
      with pytest.raises(CorpusError, match=str(corpus.path)):
        corpus.read(stored(corpus)[name])
    file.unlink()
    with pytest.raises(CorpusError, match=str(corpus.path)):
      corpus.read(stored(corpus)[name])
    file.write_bytes(content)
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
    ('{"format": 2}', "not a corpus manifest"),
    ('{"task": "toy"}', "no format, and this version reads format 2; make the corpus again by --stage=corpus"),
    (changed(format=1), "format 1, and this version reads format 2; make the corpus again by --stage=corpus"),
    (changed(format=3, extra=1), "format 3, and this version reads format 2"),
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


def test_a_group_whose_file_is_gone_is_not_there_any_more(corpus):
  """Whichever array it is of; reading names the file, and what to do."""
  for group, name in enumerate(("theta", "metrics/loss", "largest")):
    file = sorted(path for path in (corpus.path / name / "c").rglob("*") if path.is_file())[group]
    file.unlink()
    opened = Corpus.open(corpus.path, writable=True)
    with pytest.raises(CorpusError, match=r"; delete that file, and --stage=corpus makes its group again"):
      opened.read(stored(opened)[name])
    opened.forget_lost()
    assert opened.manifest.groups_done == list(range(group + 1, 3))


def test_two_processes_cannot_write_the_same_groups(corpus):
  first, second = (Corpus.open(corpus.path, writable=True) for _ in range(2))
  with first.writing():
    with pytest.raises(CorpusError, match=f"{corpus.path}: process {os.getpid()} on .* is writing this corpus; wait"):
      with second.writing():
        pass
    with Corpus.open(corpus.path, writable=True, process=1).writing():
      pass  # of one job: others groups
  with second.writing():
    pass


def test_a_full_disk_is_named_and_loses_nothing(tmp_path):
  """A process that may write no file of more than a few bytes stands for it."""
  corpus = Corpus.create(tmp_path, MANIFEST_5)
  theta = write_groups(corpus, [0])[:2]
  limit, before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  try:
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limit[1]))
    with pytest.raises(CorpusError, match=f"{tmp_path}: group 1 cannot be written .*; once that is mended") as error:
      write_groups(corpus, [1])
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    signal.signal(signal.SIGXFSZ, before)
  assert "\n" not in str(error.value)
  opened = Corpus.open(tmp_path, writable=True)
  assert opened.manifest.groups_done == [0]
  np.testing.assert_array_equal(opened.read(opened.theta, slice(0, 2)), theta)
  write_groups(opened, [1, 2])
  assert Corpus.open(tmp_path).manifest.complete
