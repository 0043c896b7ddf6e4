"""A stage that cannot run says in one line what is missing or differs."""

import copy
import json
import re
import shutil

import pytest

from g_pt import config, stages, workdir
from g_pt.errors import UserError


def changed(values, path, value):
  values = copy.deepcopy(values)
  *parents, name = path.split(".")
  place = values
  for parent in parents:
    place = place[parent]
  place[name] = value
  return config.parse(values)


@pytest.fixture
def directory(smoke_workdir, tmp_path):
  """A copy of the trained workdir, to be written to."""
  return shutil.copytree(smoke_workdir, tmp_path / "workdir")


@pytest.mark.parametrize(
  ("stage", "path", "value", "message"),
  [
    ("corpus", "seed", 9, "corpus holds a corpus made under other settings: corpus.seed is 0 there, 9 here"),
    ("train", "corpus.recipe.momentum", 0.5, "corpus.recipe.momentum is 0.9 there, 0.5 here"),
    ("train", "model.width", 20, "under other settings: model.width is 16 there, 20 here; choose another --workdir"),
    ("train", "train.pairs.bins", 3, "train.pairs.bins is 64 there, 3 here"),
    ("evaluate", "diffusion.variable", "parameters", "diffusion.variable is 'update' there, 'parameters' here"),
    ("evaluate", "train.steps", 50, "train.steps is 40 there, 50 here"),
    ("report", "seed", 0, "not evaluated yet"),
  ],
)
def test_what_does_not_fit_the_workdir_is_refused_and_named(directory, smoke_values, stage, path, value, message):
  files = (workdir.TRAINED, workdir.UNITS, workdir.CONFIG)
  before = [(directory / name).read_bytes() for name in files]
  with pytest.raises(UserError, match=re.escape(message)) as error:
    stages.run(changed(smoke_values, path, value), directory, stage)
  assert "\n" not in str(error.value)
  assert [(directory / name).read_bytes() for name in files] == before or stage == "report"


def test_how_it_is_looked_at_may_change(directory, smoke_values):
  """Logging, and the place of the corpus, are no part of a trained model."""
  shutil.move(directory / workdir.CORPUS, directory / "elsewhere")
  values = copy.deepcopy(smoke_values)
  values["train"]["log_every"] = 7
  values["corpus"]["path"] = str(directory / "elsewhere")
  stages.run(config.parse(values), directory, "train")


def test_an_earlier_stage_is_asked_for(directory, smoke_values):
  experiment = config.parse(smoke_values)
  shutil.rmtree(directory / workdir.CHECKPOINTS)
  with pytest.raises(UserError, match="training is unfinished, step 0 of 40; run --stage=train"):
    stages.run(experiment, directory, "evaluate")
  (directory / workdir.TRAINED).unlink()
  with pytest.raises(UserError, match="train.json: missing; run --stage=train"):
    stages.run(experiment, directory, "evaluate")
  shutil.rmtree(directory / workdir.CORPUS)
  with pytest.raises(UserError, match=r"no corpus here \(manifest.json is missing\)"):
    stages.run(experiment, directory, "train")


@pytest.fixture(scope="module")
def evaluated(smoke_workdir, smoke_values, tmp_path_factory):
  """The trained workdir with its evaluations; not to be written to."""
  directory = shutil.copytree(smoke_workdir, tmp_path_factory.mktemp("evaluated") / "workdir")
  stages.run(config.parse(smoke_values), directory, "evaluate")
  return directory


@pytest.fixture
def evaluated_copy(evaluated, tmp_path):
  return shutil.copytree(evaluated, tmp_path / "workdir")


def contents(directory):
  """Every file of the evaluations, and what ran last."""
  files = [*(directory / workdir.EVALUATION).iterdir(), directory / workdir.CONFIG]
  return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize("stage", ["evaluate", "report"])
@pytest.mark.parametrize(
  ("path", "value", "file"),
  [
    ("sample.steps", 50, "alignment.json"),
    ("evaluate.alignment.prompts", 5, "alignment.json"),
    ("optimizers.points", 9, "one_update.json"),
  ],
)
def test_a_result_is_not_shown_or_reused_under_other_settings(evaluated_copy, smoke_values, stage, path, value, file):
  before = contents(evaluated_copy)
  with pytest.raises(UserError, match=rf"{file} was made under other settings: {path} is .* there, {value} here"):
    stages.run(changed(smoke_values, path, value), evaluated_copy, stage)
  assert contents(evaluated_copy) == before


def test_a_report_leaves_the_evaluations_as_they_are(evaluated_copy, smoke_values):
  before = contents(evaluated_copy)
  stages.run(config.parse(smoke_values), evaluated_copy, "report")
  assert contents(evaluated_copy) == before
  assert (evaluated_copy / workdir.REPORT).stat().st_size > 0


def test_an_evaluation_that_is_there_is_not_made_again(evaluated_copy, smoke_values):
  folder = evaluated_copy / workdir.EVALUATION
  before = contents(evaluated_copy)
  kept = (folder / "one_update.json").stat().st_mtime_ns
  (folder / "alignment.json").unlink()
  stages.run(config.parse(smoke_values), evaluated_copy, "evaluate")
  assert (folder / "one_update.json").stat().st_mtime_ns == kept
  after, wanted = (json.loads(content["alignment.json"])["summary"] for content in (contents(evaluated_copy), before))
  assert after == wanted


def test_another_metric_shares_the_optimizers_curves(evaluated, smoke_values, tmp_path):
  folder = evaluated / workdir.CORPUS / "optimizers"
  before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
  assert before
  values = changed(smoke_values, "metric", "test_error").values
  values["corpus"]["path"] = str(evaluated / workdir.CORPUS)
  values["train"]["steps"] = 2
  stages.run(config.parse(values), tmp_path, "all")
  assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before


def test_a_model_may_learn_from_a_part_of_a_corpus(smoke_workdir, smoke_values, tmp_path):
  """Of fewer runs, and of fewer checkpoints of them; what is left out is neither counted nor drawn."""
  values = copy.deepcopy(smoke_values)
  values["corpus"] |= {"path": str(smoke_workdir / workdir.CORPUS), "used_runs": 5, "used_checkpoints": 3}
  values["train"]["steps"] = 2
  stages.run(config.parse(values), tmp_path, "train")
  census = workdir.read_json(tmp_path / workdir.TRAINED)["census"]
  whole = workdir.read_json(smoke_workdir / workdir.TRAINED)["census"]
  assert (census["train_runs"], census["checkpoints"]) == (5, 3)
  assert (whole["train_runs"], whole["checkpoints"]) == (16, 6)
  assert [census[kind] for kind in ("validation_runs", "test_runs")] == [4, 4]
  with pytest.raises(UserError, match="corpus.used_runs is 5 there, 6 here"):
    stages.run(changed(values, "corpus.used_runs", 6), tmp_path, "train")


PUBLISHED = """
import ast, sys
from pathlib import Path
from g_pt import config, stages
from g_pt.errors import UserError
from g_pt.job import Job
values, directory, *urls = sys.argv[1:]
for url in urls:
  changed = ast.literal_eval(values)
  changed["corpus"]["path"] = url
  experiment = config.parse(changed)
  try:
    stages.run(experiment, Path(directory), "corpus")
    print(Job(experiment, Path(directory)).open_corpus().path, Job(experiment, Path(directory)).optimizers_folder)
  except UserError as error:
    print(error)
"""


def test_a_published_corpus_is_taken_where_it_is_whole(hub, beside_hub, smoke_workdir, smoke_values, tmp_path):
  corpus, directory = smoke_workdir / workdir.CORPUS, tmp_path / "run"
  content = {str(file.relative_to(corpus)): file.read_bytes() for file in corpus.rglob("*") if file.is_file()}
  hub.commit("someone/digits", content, kind="datasets")
  manifest = json.loads(content["manifest.json"]) | {"groups_done": [0]}
  hub.commit("someone/part", content | {"manifest.json": json.dumps(manifest).encode()}, kind="datasets")
  whole, part = "hf://datasets/someone/digits", "hf://datasets/someone/part"
  assert beside_hub(PUBLISHED, smoke_values, directory, whole, part) == [
    f"{whole} {directory / workdir.OPTIMIZERS}",  # curves of optimizers stay here
    f"{part}: a published corpus, for reading only; one is made in a folder or a bucket",
  ]
  for snapshot in (tmp_path / "home").glob("hub/hub/*/snapshots/*"):
    assert {str(file.relative_to(snapshot)) for file in snapshot.rglob("*") if file.is_file()} == {*content}
