"""Every experiment: its configurations are whole, its docstring says what to run and to expect, and it runs."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from g_pt import config, stages, workdir
from g_pt.evaluation import data_sets
from g_pt.tasks.family import SOURCES

ROOT = Path(__file__).parent.parent
NAMES = sorted(path.stem for path in (ROOT / "experiments").glob("*.py") if path.stem != "__init__")
# The paper's own: one data set each, named after task and metric.
OF_ONE_SET = [name for name in NAMES if name != "unseen_data"]
# Those that a longer training has been made for.
LONG = [name for name in OF_ONE_SET if not name.startswith("digits")]
# Where the tests find MNIST and CIFAR-10, which a user lets TFDS fetch.
IMAGES = ROOT.parent / "shared" / "tensorflow_datasets"


def values_of(name, variant):
  return importlib.import_module(f"experiments.{name}").get_config(variant).to_dict()


@pytest.mark.parametrize("name", OF_ONE_SET)
@pytest.mark.parametrize("variant", ["default", "paper", "smoke"])
def test_every_variant_is_a_whole_configuration(name, variant):
  experiment = config.parse(values_of(name, variant))
  assert name.startswith(experiment.task) and name.endswith(experiment.metric.rpartition("_")[2])
  assert (values_of(name, variant)["model"]["name"] == "chunk_transformer") == (variant == "paper")


@pytest.mark.parametrize("name", LONG)
def test_a_long_variant_is_more_of_the_default(name):
  long, default = (config.parse(values_of(name, variant)) for variant in ("long", "default"))
  assert long.train.steps > default.train.steps and long.model.width > default.model.width
  assert (long.task, long.metric, long.sample.sampler) == (default.task, default.metric, default.sample.sampler)
  assert long.sample.steps >= default.sample.steps


@pytest.mark.parametrize("variant", ["default", "mnist_size", "smoke", "alone"])
def test_unseen_data_is_held_out_of_every_corpus(variant):
  experiment = config.parse(values_of("unseen_data", variant))
  family, _, named = experiment.task.partition("#")
  assert family == ("mixes_28x28" if variant == "mnist_size" else "mixes_8x8") and bool(named) == (variant == "alone")
  settings = experiment.evaluate["data_sets"]
  assert isinstance(settings, data_sets.Settings)
  assert not set(settings.held_out) & set(SOURCES)
  assert bool(settings.held_out) == (variant in ("default", "mnist_size"))


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_gives_claim_command_time_and_number(name):
  text = importlib.import_module(f"experiments.{name}").__doc__
  for word in ("Claim:", f"--config=experiments/{name}.py --workdir=runs/{name}", "\n  time ", "\n  expect ", ":smoke"):
    assert word in text, word


@pytest.mark.parametrize(
  ("name", "variant"),
  [
    (name, variant)
    for name in NAMES
    for variant in ("default", "paper", "smoke", *["long"] * (name in LONG))
    if name.endswith("_error")
  ],
)
def test_loss_and_error_share_a_corpus(name, variant):
  error, loss = (values_of(n, variant) for n in (name, name.replace("_error", "_loss")))
  assert error["corpus"] == loss["corpus"] and error["seed"] == loss["seed"] and error["task"] == loss["task"]


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_variant_is_refused(name):
  others = {"digits_loss": "chunk, truncated, ", "digits_error": "chunk, truncated, "}
  others |= {"mnist_loss": "long, truncated, ", "mnist_error": "long, truncated, ", "unseen_data": "mnist_size, alone"}
  known = f"default, {others.get(name, 'long, ')}{'' if name == 'unseen_data' else 'paper'} or smoke"
  with pytest.raises(ValueError, match=f"unknown variant 'huge'; it is {known}"):
    values_of(name, "huge")


def test_the_chunk_variant_changes_the_model_alone():
  ours, paper = values_of("digits_loss", "default"), values_of("digits_loss", "chunk")
  config.parse(paper)
  assert paper.pop("model")["name"] == "chunk_transformer" and ours.pop("model")["name"] == "neuron_transformer"
  assert paper["train"]["pairs"].pop("permute") and not ours["train"]["pairs"].pop("permute")
  assert paper == ours


@pytest.mark.parametrize("name", ["digits_loss", "digits_error", "mnist_loss", "mnist_error"])
def test_the_truncated_variant_learns_from_the_worse_checkpoints_alone(name):
  """Networks that end well are better than that by far, in the metric's own unit: nats or percent."""
  truncated = config.parse(values_of(name, "truncated"))
  assert truncated.split.only_up_to == {"digits_loss": 0.3, "mnist_loss": 0.4}.get(name, 10.0)
  assert "extrapolation" in truncated.experiments and not truncated.optimizers.optimizers


@pytest.mark.parametrize("name", ["mnist_loss", "cartpole_return"])
def test_all_stages_run(name, tmp_path):
  values = values_of(name, "smoke")
  if name != "cartpole_return":
    if not IMAGES.exists():
      pytest.skip("MNIST and CIFAR-10 are not on this machine")
    values["data_dir"] = str(IMAGES)
  values["mesh"]["data"] = 1
  stages.run(config.parse(values), tmp_path, "all")
  summary = workdir.read_json(tmp_path / workdir.SUMMARY)
  assert np.isfinite(summary["alignment"]["test"]["final"]["mean"])
  for numbers in summary["one_update"]["numbers"]["final"].values():
    assert np.isfinite(list(numbers.values())).all()
  assert summary["corpus"]["rejected"] == 0
  assert (tmp_path / workdir.REPORT).stat().st_size > 10_000


def test_the_paper_s_model_learns_on_digits(smoke_workdir, smoke_values, tmp_path):
  """A tiny chunk transformer, on the corpus of the smoke experiment."""
  values = config.default("digits", "test_loss", model="chunk_transformer").to_dict()
  values["corpus"] = smoke_values["corpus"] | {"path": str(smoke_workdir / workdir.CORPUS)}
  values["model"] |= {"width": 32, "depth": 2, "heads": 4, "frequencies": 16}
  values["train"] |= {"steps": 240, "batch_size": 32, "microbatches": 1, "learning_rate": 3e-3, "warmup_steps": 5}
  values["train"] |= {"log_every": 80, "probe_every": 0}
  values["train"]["pairs"]["weighting"] = "uniform"
  values["mesh"]["data"] = 1
  stages.run(config.parse(values), tmp_path, "train")
  losses = [json.loads(line)["loss"] for line in (tmp_path / workdir.METRICS).read_text().splitlines()]
  assert len(losses) == 3 and losses[2] < losses[1] < losses[0]
  assert losses[2] < 0.95 * losses[0]
