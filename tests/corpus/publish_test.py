"""A published corpus is the corpus, stands alone, and says truthfully what it holds, to people and to machines."""

import dataclasses
import json
import re
import shutil
import subprocess

import mlcroissant
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from g_pt import config, stages, tasks, workdir
from g_pt.corpus import manifest, publish, storage
from g_pt.corpus.manifest import read_manifest
from g_pt.corpus.split import SplitConfig, split_runs
from g_pt.corpus.store import Corpus
from g_pt.errors import UserError
from tests.corpus.split_test import MANIFEST, contents, write
from tests.stages_test import changed

CONFIG = SplitConfig(validation_runs=4, test_runs=4)
# Of what mlcroissant reads JSON-LD and tables by.
CROISSANT_WARNS = pytest.mark.filterwarnings(
  "ignore:ConjunctiveGraph is deprecated", "ignore:The inplace keyword in DataFrame.reset_index"
)
COMMAND = (
  "python /home/somebody/main.py --config=/home/somebody/x.py:smoke --config.seed=0 --workdir /home/somebody "
  "--stage=corpus --data_from=/home/somebody --multihost --coordinator localhost:1 --config.corpus.path=/home/somebody"
)


@pytest.fixture(scope="module")
def source(smoke_workdir, tmp_path_factory):
  """`smoke_workdir` with the command that made it."""
  directory = shutil.copytree(smoke_workdir, tmp_path_factory.mktemp("source") / "digits")
  (directory / workdir.COMMAND).write_text(f"{COMMAND}\n")
  return directory


@pytest.fixture(scope="module")
def published(source, tmp_path_factory):
  out = tmp_path_factory.mktemp("published") / "digits_corpus"
  publish.main([f"--workdir={source}", f"--out={out}"])
  return out


@pytest.fixture(scope="module")
def tiny(source, tmp_path_factory):
  """A cut with one group of each split."""
  out = tmp_path_factory.mktemp("published") / "tiny"
  publish.publish(publish.of_workdir(source), out, limit=300_000)
  return out


def size(folder):
  return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_the_corpus_is_there_unchanged(source, published):
  for file in (source / workdir.CORPUS).rglob("*"):
    if file.is_file() and not file.name.startswith("."):
      assert (published / file.relative_to(source / workdir.CORPUS)).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("folder", ["published", "tiny"])
def test_a_row_is_a_checkpoint(source, folder, request):
  corpus = Corpus.open(request.getfixturevalue(folder))
  table = pq.read_table(corpus.path / publish.TABLE).to_pandas()
  runs, count = corpus.manifest.runs, corpus.manifest.checkpoints
  assert len(table) == runs * count and {*corpus.metrics} < {*table.columns} and set(table.seed) == {0}
  for name, array in corpus.metrics.items():
    np.testing.assert_array_equal(corpus.read(array)[table.run, table.checkpoint], table[name])
  np.testing.assert_array_equal(corpus.read(corpus.step)[table.run, table.checkpoint], table.step)
  whole = Corpus.open(source / workdir.CORPUS)
  np.testing.assert_array_equal(
    whole.read(whole.theta, table.original_run.to_numpy()[::count]), corpus.read(corpus.theta)
  )
  np.testing.assert_array_equal(table.original_run // whole.manifest.group_size, table.group)
  for name in ("train", "validation", "test"):
    np.testing.assert_array_equal(table.run[table.split == name].unique(), getattr(split_runs(corpus, CONFIG), name))


def test_rejected_runs_are_in_no_split(tmp_path):
  corpus = write(tmp_path / "corpus", *contents(), settings={"seed": 0, "save_points": "log", "recipe": {}})
  found = publish.publish(publish.Source(corpus.path, CONFIG), tmp_path / "out")
  table = pq.read_table(tmp_path / "out" / publish.TABLE).to_pandas()
  assert set(table.run[table.split == "rejected"]) == {0, 5, 11, 12, 18, 22}
  assert found.split["rejected"] == 6 and np.isfinite(list(found.ends.values())).all()


def test_parameters_lie_where_the_index_says(published):
  spec, content = tasks.get("digits").spec, json.loads((published / publish.PARAMETERS).read_text())
  assert content["size"] == spec.size
  assert {p["name"]: slice(p["offset"], p["offset"] + p["size"]) for p in content["parameters"]} == spec.slices
  assert [tuple(p["shape"]) for p in content["parameters"]] == list(spec.shapes)


def test_sums_are_of_all_files(tiny):
  checked = subprocess.run(["sha256sum", "-c", publish.SUMS], cwd=tiny, capture_output=True, text=True)
  files = {str(file.relative_to(tiny)) for file in tiny.rglob("*") if file.is_file()} - {publish.SUMS}
  assert checked.returncode == 0 and {line.removesuffix(": OK") for line in checked.stdout.splitlines()} == files


@pytest.mark.parametrize("folder", ["published", "tiny"])
def test_a_card_has_what_the_hub_reads_and_code_that_runs(folder, request, monkeypatch):
  place = request.getfixturevalue(folder)
  text = (place / publish.CARD).read_text()
  front = yaml.safe_load(text.split("---\n")[1])
  assert front["license"] == "apache-2.0" and front["size_categories"] == ["n<1K"]
  assert (place / front["configs"][0]["data_files"][0]["path"]).exists()
  assert "python main.py --config=x.py:smoke --config.seed=0 --workdir=runs/again --stage=corpus" in text
  assert not any("/home" in file.read_text() for file in place.iterdir() if file.suffix in (".md", ".json"))
  monkeypatch.chdir(place.parent)
  variables = {}
  for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
    exec(block, variables)
  spec, corpus = tasks.get("digits").spec, variables["corpus"]
  assert {name: array.shape for name, array in variables["network"].items()} == dict(zip(spec.names, spec.shapes))
  runs = split_runs(corpus, CONFIG).test
  assert variables["row"].test_error == corpus.read(corpus.metrics["test_error"], runs).min()


@CROISSANT_WARNS
@pytest.mark.parametrize("folder", ["published", "tiny"])
def test_croissant_is_valid_and_gives_the_records(folder, request):
  place = request.getfixturevalue(folder)
  found = mlcroissant.Dataset(place / publish.CROISSANT)
  assert not found.metadata.ctx.issues.errors
  assert found.metadata.data_limitations and found.metadata.data_biases and found.metadata.data_collection
  table = pq.read_table(place / publish.TABLE)
  records = list(found.records("checkpoints"))
  assert len(records) == len(table)
  last = {name.removeprefix("checkpoints/"): value for name, value in records[-1].items()}
  wanted = {name: value[0].as_py() for name, value in zip(table.column_names, table.slice(len(table) - 1).columns)}
  assert last == wanted | {"split": b"test"}


def test_a_tiny_one_is_small_and_says_what_it_was_cut_from(published, tiny, source):
  assert size(tiny) <= 300_000 < size(published)
  whole, found = Corpus.open(source / workdir.CORPUS), Corpus.open(tiny).manifest
  assert found.runs == 12 and found.cut == {"runs": 24, "group_size": 4, "parts": [[0, 4], [16, 24]]}
  text = (tiny / publish.CARD).read_text()
  assert f"cut from a corpus of {whole.manifest.runs} runs, of which it has the runs 0 to 3, 16 to 23" in text
  assert "cut from" not in (published / publish.CARD).read_text()


def test_a_tiny_one_of_many_small_files_is_as_small(tmp_path):
  """Groups of one run have more bytes beside their numbers than any others."""
  runs, size_of_one, limit = 270, 250, 600_000
  fields = {"parameters": [["bias", [size_of_one]]], "runs": runs, "checkpoints": 2, "group_size": 1}
  settings = {"seed": 0, "save_points": "log", "recipe": {}}
  corpus = Corpus.create(tmp_path / "corpus", dataclasses.replace(MANIFEST, settings=settings, **fields))
  for group in range(runs):
    numbers = np.random.default_rng(group).uniform(size=(1, 2, size_of_one)).astype(np.float32)
    corpus.write_group(group, numbers, dict.fromkeys(("loss", "error"), numbers[..., 0]), np.int32([[0, 1]]))
  found = publish.publish(publish.Source(corpus.path, CONFIG), tmp_path / "out", limit)
  assert 8 < found.manifest.runs < runs and 0.8 * limit < size(tmp_path / "out") <= limit


def test_a_card_splits_as_the_table_does(tmp_path, monkeypatch):
  """By another largest weight, by which two runs more are sound."""
  config = dataclasses.replace(CONFIG, largest_weight=11.0)
  corpus = write(tmp_path / "corpus", *contents(), settings={"seed": 0, "save_points": "log", "recipe": {}})
  publish.publish(publish.Source(corpus.path, config), tmp_path / "out")
  text = (tmp_path / "out" / publish.CARD).read_text()
  assert "--config.corpus.largest_weight=11.0" in text
  monkeypatch.chdir(tmp_path)
  variables = {}
  exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], variables)
  table = pq.read_table(tmp_path / "out" / publish.TABLE).to_pandas()
  for name in ("train", "validation", "test"):
    np.testing.assert_array_equal(getattr(variables["split"], name), table.run[table.split == name].unique())
  assert {*table.run[table.split == "rejected"]} == {0, 5, 18, 22}


def test_a_tiny_one_of_a_small_corpus_is_whole(source, published, tmp_path):
  publish.main([f"--workdir={source}", f"--out={tmp_path / 'digits_corpus'}", "--tiny"])
  assert read_manifest(tmp_path / "digits_corpus") == read_manifest(published)


def test_a_model_is_trained_on_a_published_corpus_under_the_same_configuration(smoke_values, tiny, tmp_path):
  values = changed(smoke_values, "corpus.path", str(tiny)).values | {
    "train": smoke_values["train"] | {"steps": 2, "probe_every": 2, "checkpoint_every": 2}
  }
  for stage in ("corpus", "train"):
    stages.run(config.parse(values), tmp_path, stage)
  assert json.loads((tmp_path / workdir.TRAINED).read_text())["census"]["train_runs"] == 4


@CROISSANT_WARNS
def test_what_is_imported_or_in_a_bucket_is_published_too(tmp_path):
  place = "memory://bucket/corpus"
  source = {"source": "/home/somebody/mnist", "skipped": {}, "metrics": {}}
  write(place, *contents(), settings={"imported": source})
  publish.main([f"--corpus={place}", f"--out={tmp_path / 'out'}", "--validation-runs=4", "--test-runs=4"])
  found, opened = Corpus.open(tmp_path / "out"), Corpus.open(place)
  np.testing.assert_array_equal(found.read(found.theta), opened.read(opened.theta))
  text = (tmp_path / "out" / publish.CARD).read_text()
  assert "checkpoint dataset mnist of" in text and "main.py" not in text
  assert not {"seed", "group"} & {*pq.read_table(tmp_path / "out" / publish.TABLE).column_names}
  mlcroissant.Dataset(tmp_path / "out" / publish.CROISSANT)
  assert storage.names(place, manifest.MANIFEST) == [manifest.MANIFEST]


def test_the_manifest_alone_says_how_it_is_made(source, tmp_path):
  place = source / workdir.CORPUS
  publish.main([f"--corpus={place}", f"--out={tmp_path / 'out'}", "--validation-runs=4", "--test-runs=4"])
  text = (tmp_path / "out" / publish.CARD).read_text()
  (line,) = (line for line in text.splitlines() if line.endswith("--stage=corpus"))
  assert "--config=EXPERIMENT --config.task=digits --config.seed=0" in line
  assert "--config.corpus.recipe.epochs=1" in line and "--config.corpus.test_runs=4" in line
  assert "--config.corpus.group_size=4" in line


def test_what_cannot_be_published_is_refused_before_anything_is_written(source, published, tmp_path):
  out = tmp_path / "out"
  for arguments, message in (
    ([f"--workdir={source}", f"--out={published}"], f"--out: {published} is there already"),
    ([f"--out={out}"], "give --workdir, or --corpus"),
    ([f"--workdir={tmp_path}", f"--out={out}"], f"{tmp_path}/config.json: missing; run --stage=corpus"),
    ([f"--corpus={tmp_path}", f"--out={out}"], f"{tmp_path}: no corpus here"),
    ([f"--corpus={source}/corpus", f"--out={out}"], "leave none for training"),
    ([f"--corpus={source}/corpus", f"--out={out}", "--test-runs=0"], "test_runs: 0 is less than 1"),
    ([f"--workdir={source}", f"--out={out}", "--test-runs=4"], "--test-runs: the configuration of --workdir says it"),
  ):
    with pytest.raises(UserError, match=message) as error:
      publish.main(arguments)
    assert "\n" not in str(error.value)
  (tmp_path / "config.json").write_text('{"corpus": {}}')
  with pytest.raises(UserError, match="config.json: not a configuration of this version"):
    publish.main([f"--workdir={tmp_path}", f"--out={out}"])
  with pytest.raises(UserError, match="--tiny: a run of each split is"):
    publish.publish(publish.of_workdir(source), out, limit=1000)
  assert not out.exists()
  (tmp_path / "file").touch()
  with pytest.raises(UserError, match=f"--out: {tmp_path}/file/out cannot be written: .*exists"):
    publish.publish(publish.of_workdir(source), tmp_path / "file" / "out")
