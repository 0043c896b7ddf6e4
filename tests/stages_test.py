"""A stage that cannot run says in one line what is missing or differs."""

import copy
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
    ("report", "seed", 0, "not evaluated yet (evaluation/summary.json is missing); run --stage=evaluate"),
  ],
)
def test_what_does_not_fit_the_workdir_is_refused_and_named(directory, smoke_values, stage, path, value, message):
  before = (directory / workdir.TRAINED).read_bytes()
  with pytest.raises(UserError, match=re.escape(message)) as error:
    stages.run(changed(smoke_values, path, value), directory, stage)
  assert "\n" not in str(error.value)
  assert (directory / workdir.TRAINED).read_bytes() == before


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
  with pytest.raises(UserError, match="train.json: missing; run the stages before this one"):
    stages.run(experiment, directory, "evaluate")
  shutil.rmtree(directory / workdir.CORPUS)
  with pytest.raises(UserError, match=r"no corpus here \(manifest.json is missing\)"):
    stages.run(experiment, directory, "train")
