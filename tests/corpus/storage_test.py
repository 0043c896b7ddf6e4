"""A corpus is the same in a folder, in memory, and in buckets of servers that speak S3 and as Google Cloud Storage."""

import dataclasses
import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pytest

from g_pt.corpus import storage
from g_pt.corpus.manifest import exists
from g_pt.corpus.store import Corpus
from g_pt.errors import CorpusError
from tests.corpus.store_test import MANIFEST_5, write_groups
from tests.end_to_end_test import PATIENCE, ROOT
from tests.processes_test import CONFIG, TINY

numbers = itertools.count()


@pytest.fixture(params=["folder", "memory", "s3"])
def place(request, tmp_path, bucket):
  """A place with nothing in it."""
  some = f"corpora/some/{next(numbers)}"
  return tmp_path / some if request.param == "folder" else f"{request.param}://{some}"


def test_a_corpus_comes_back_and_goes_on(place):
  assert not exists(place)
  with pytest.raises(CorpusError, match=f"{place}: no corpus here"):
    Corpus.open(place)
  theta = write_groups(Corpus.create(place, MANIFEST_5), [0])
  write_groups(Corpus.open(place, writable=True, process=1), [1])
  began = Corpus.open(place, writable=True)
  began.settle()
  assert exists(place) and began.manifest.groups_done == [0, 1]
  assert storage.names(began.path, "manifest") == ["manifest.json"]
  with began.writing():
    write_groups(began, [2])
  corpus = Corpus.open(place)
  assert corpus.manifest == dataclasses.replace(MANIFEST_5, groups_done=[0, 1, 2], seconds=4.5)
  np.testing.assert_array_equal(corpus.read(corpus.theta), theta)
  np.testing.assert_array_equal(corpus.read(corpus.metrics["loss"], [4, 1], 2), theta[[4, 1], 2, 0])
  run, checkpoint = np.array([3, 0, 3]), np.array([2, 1, 0])
  np.testing.assert_array_equal(corpus.read_points(run, checkpoint), theta[run, checkpoint])


def test_google_cloud_storage_keeps_the_files_of_a_folder(google_bucket, tmp_path):
  """The server that stands for it does not give the ends of files, which reading a shard begins with."""
  places = "gs://corpora/some", tmp_path
  for place in places:
    assert not exists(place)
    write_groups(Corpus.create(place, MANIFEST_5), range(2))
    opened = Corpus.open(place, writable=True)
    opened.forget_lost()
    assert opened.manifest.groups_done == [0, 1]
  found, wanted = ({*storage.names(storage.place_of(place), "theta")} for place in places)
  assert found == wanted == {"theta/zarr.json", "theta/c/0/0/0", "theta/c/1/0/0"}


def test_an_object_that_disappears_is_named_and_made_again(place):
  corpus = Corpus.create(place, MANIFEST_5)
  theta = write_groups(corpus, range(3))
  (lost,) = storage.names(corpus.path, "theta/c/1")
  storage._files(corpus.path).delete_range(storage.ts.KvStore.KeyRange(lost, lost + "0")).result()
  opened = Corpus.open(place, writable=True)
  remedy = "delete that file, and --stage=corpus makes its group again"
  with pytest.raises(CorpusError, match=f"{place}: .*; {remedy}") as error:
    opened.read(opened.theta, 2)
  assert "\n" not in str(error.value) and lost in str(error.value)
  opened.settle()
  assert Corpus.open(place).manifest.groups_done == [0, 2]
  write_groups(opened, [1])
  whole = Corpus.open(place)
  np.testing.assert_array_equal(whole.read(whole.theta), theta)


@pytest.mark.parametrize("url", ["ftp://host/corpus", "s3:///corpus", "http://host/corpus"])
def test_a_place_that_cannot_hold_a_corpus_is_refused(url):
  with pytest.raises(CorpusError, match=f"{url}: a corpus is in a folder or at one of gs://BUCKET/PREFIX, s3://BUCKET"):
    Corpus.open(url)


def test_a_bucket_that_is_not_there_is_one_line(bucket):
  with pytest.raises(CorpusError, match="^s3://none/x: its files cannot be listed: NOT_FOUND: NoSuchBucket: The spec"):
    Corpus.create("s3://none/x", MANIFEST_5)


def test_a_server_that_is_not_there_is_one_line(bucket, monkeypatch):
  monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
  monkeypatch.setattr(storage, "_RETRIES", {"max_retries": 2, "initial_delay": "10ms", "max_delay": "10ms"})
  with pytest.raises(CorpusError, match="s3://corpora/x: its files cannot be listed: ") as error:
    Corpus.open("s3://corpora/x")
  assert "\n" not in str(error.value)


def test_an_experiment_makes_its_corpus_in_a_bucket_and_trains_on_it(bucket, process_environment, tmp_path):
  """The same training, with all in memory and read while it goes on."""

  def main(stage, *flags):
    command = [sys.executable, "main.py", f"--config={CONFIG}", f"--stage={stage}", *TINY, *flags]
    done = subprocess.run(
      [*command, "--config.corpus.path=s3://corpora/digits"],
      cwd=ROOT,
      env=process_environment | bucket,
      capture_output=True,
      text=True,
      timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout

  main("corpus", f"--workdir={tmp_path}/resident")
  assert Corpus.open("s3://corpora/digits").manifest.complete
  main("train", f"--workdir={tmp_path}/resident")
  told = main("train", f"--workdir={tmp_path}/streamed", "--config.train.stream=True")
  assert "s3://corpora/digits: " in told and "GB of checkpoints, read while training goes on" in told
  found, wanted = ((tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("streamed", "resident"))
  assert [line.partition('"seconds"')[0] for line in found] == [line.partition('"seconds"')[0] for line in wanted]


OPEN = """
import hashlib, sys
from g_pt.corpus.store import Corpus
from g_pt.errors import UserError
url = sys.argv[1]
corpus = Corpus.open(url)
print(hashlib.sha256(corpus.read(corpus.theta).tobytes()).hexdigest())
for write in (lambda: Corpus.open(url, writable=True), lambda: Corpus.create(f"{url}/new", corpus.manifest)):
  try:
    write()
  except UserError as error:
    print(error)
for malformed in sys.argv[2:]:
  try:
    Corpus.open(malformed)
  except UserError as error:
    print(error)
"""

def files(folder):
  return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_published_corpus_is_fetched_once_and_only_read(hub, beside_hub, tmp_path):
  theta = write_groups(Corpus.create(tmp_path / "corpus", MANIFEST_5), range(3))
  content = files(tmp_path / "corpus")
  hub.commit("someone/corpora", {f"some/{name}": x for name, x in content.items()} | {"other": b"x"}, kind="datasets")
  url = "hf://datasets/someone/corpora/some"
  read_only = "a published corpus, for reading only; one is made in a folder or a bucket"
  form = "a dataset of the hub is at hf://datasets/OWNER/NAME[@REVISION][/FOLDER]"
  refused = {
    "hf://someone/corpora": form,
    "hf://datasets/corpora": form,
    "hf://datasets/someone/corpora/other": "no corpus here (manifest.json is missing)",
  }
  assert beside_hub(OPEN, url, *refused) == [
    hashlib.sha256(theta.tobytes()).hexdigest(),
    f"{url}: {read_only}",
    f"{url}/new: {read_only}",
    *(f"{place}: {words}" for place, words in refused.items()),
  ]
  assert len(hub.downloads()) == len({*content.values()})


LATER = """
import sys
from g_pt.corpus.manifest import read_manifest
from g_pt.corpus.store import Corpus
url = sys.argv[1]
print(read_manifest(url).runs, flush=True)
input()
corpus = Corpus.open(url)
print(corpus.manifest.runs, *corpus.read(corpus.theta).shape)
"""

MATCH = """
import dataclasses, sys
from g_pt.corpus.generate import open_matching
from g_pt.corpus.manifest import read_manifest
from g_pt.errors import UserError
url, seed = sys.argv[1:]
try:
  corpus = open_matching(url, dataclasses.replace(read_manifest(url), settings={"seed": int(seed)}))
  corpus.read(corpus.theta)
except UserError as error:
  print(error)
"""


def test_of_a_published_corpus_of_other_settings_only_the_manifest_is_fetched(hub, beside_hub, tmp_path):
  write_groups(Corpus.create(tmp_path / "corpus", MANIFEST_5), range(3))
  hub.commit("someone/corpus", files(tmp_path / "corpus"), kind="datasets")
  url = "hf://datasets/someone/corpus"
  (line,) = beside_hub(MATCH, url, 1)
  assert line == f"{url} holds a corpus made under other settings: corpus.seed is 0 there, 1 here"
  assert hub.downloads() == ["manifest.json"]
  assert beside_hub(MATCH, url, 0) == [] and len(hub.downloads()) > 1


def test_a_damaged_copy_of_a_published_corpus_says_how_it_is_fetched_again(hub, beside_hub, tmp_path):
  write_groups(Corpus.create(tmp_path / "corpus", MANIFEST_5), range(3))
  hub.commit("someone/corpus", files(tmp_path / "corpus"), kind="datasets")
  url = "hf://datasets/someone/corpus"
  assert beside_hub(MATCH, url, 0) == []
  for file in (tmp_path / "home").rglob("theta/c/0/0/0"):
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.resolve().write_bytes(content)
  (line,) = beside_hub(MATCH, url, 0)
  assert line.startswith(f"{url}: ") and line.endswith(
    "; `hf cache rm dataset/someone/corpus` takes it away, to be fetched again"
  )


def test_a_process_reads_a_published_corpus_as_it_was_at_first(hub, process_environment, tmp_path):
  """Though another one is pushed between the first look at its manifest and the first at its arrays."""
  write_groups(Corpus.create(tmp_path / "corpus", MANIFEST_5), range(3))
  write_groups(Corpus.create(tmp_path / "later", dataclasses.replace(MANIFEST_5, runs=3)), range(2))
  hub.commit("someone/corpus", files(tmp_path / "corpus"), kind="datasets")
  with subprocess.Popen(
    [sys.executable, "-c", LATER, "hf://datasets/someone/corpus"],
    env=process_environment | hub.environment(tmp_path / "home"),
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  ) as process:
    assert process.stdout.readline() == "5\n"
    hub.commit("someone/corpus", files(tmp_path / "later"), kind="datasets")
    assert process.communicate("\n", timeout=PATIENCE)[0] == "5 5 3 8\n"
