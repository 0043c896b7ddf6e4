"""A configuration is parsed strictly: what does not fit is one line that names the field."""

import dataclasses
import importlib.util
import json
from pathlib import Path
import subprocess
import sys

import pytest

from g_pt import config, models, tasks
from g_pt.corpus.generate import CorpusConfig
from g_pt.corpus.split import SplitConfig
from g_pt.errors import ConfigError
from g_pt.plugins import PLUGINS
from g_pt.train.step import TrainConfig

ROOT = Path(__file__).parent.parent
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.py"))


def changed(path, value):
  """The default configuration of digits with one field set, or taken out where `value` is KeyError."""
  values = config.default("digits", "test_loss").to_dict()
  *parents, name = path.split(".")
  place = values
  for parent in parents:
    place = place[parent]
  if value is KeyError:
    del place[name]
  else:
    place[name] = value
  return values


FITTING = [
  (task, model)
  for task in (*tasks.TASKS, "mixes_8x8")
  for model, architecture in models.ARCHITECTURES.items()
  if architecture.many_sets == (task == "mixes_8x8")
]


@pytest.mark.parametrize(("task", "model"), FITTING)
def test_default_holds_every_dataclass_s_defaults(task, model):
  for metric in tasks.get(task).measurement.metrics:
    experiment = config.parse(config.default(task, metric, model).to_dict())
    assert (experiment.task, experiment.metric) == (task, metric)
    assert experiment.recipe == tasks.get(task).training.recipe
    assert experiment.model == models.get(model).config()
    assert experiment.corpus == CorpusConfig() and experiment.split == SplitConfig()
    assert experiment.train == TrainConfig()
    of_task = [name for name, plugin in PLUGINS.items() if plugin.by_default and plugin.suits(tasks.get(task))]
    assert list(experiment.experiments) == of_task and {"corpus", "model"} < set(of_task)
    assert experiment.evaluate == {name: plugin.evaluation.Settings() for name, plugin in PLUGINS.items()}


def test_json_keeps_a_configuration():
  experiment = config.parse(changed("train.steps", 7))
  again = config.parse(json.loads(json.dumps(experiment.values)))
  assert dataclasses.replace(again, values={}) == dataclasses.replace(experiment, values={})
  assert again.train.steps == 7


def test_a_whole_number_serves_as_a_float():
  rate = config.parse(changed("train.learning_rate", 1)).train.learning_rate
  assert rate == 1.0 and isinstance(rate, float)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("variant", ["default", "smoke"])
def test_every_experiment_parses(path, variant):
  module_spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(module_spec)
  module_spec.loader.exec_module(module)
  assert module.__doc__
  config.parse(module.get_config(variant).to_dict())


BAD = [
  ("task", "mnits", "unknown task 'mnits'; there is: .*digits"),
  ("metric", "accuracy", "unknown metric 'accuracy' of task 'digits'; it has: test_loss"),
  ("model.name", "mlp", "model.name: unknown 'mlp'; it is one of: .*neuron_transformer"),
  ("train.stepz", 3, "train.stepz: unknown field"),
  ("train.pairs.binz", 3, "train.pairs.binz: unknown field"),
  ("surprise", {}, "surprise: unknown field"),
  ("train.steps", KeyError, "train.steps: this field is missing"),
  ("corpus.recipe.epochs", KeyError, "corpus.recipe.epochs: this field is missing"),
  ("train.steps", 2.5, "train.steps: 2.5 is of type float; int is needed"),
  ("train.steps", True, "train.steps: True is of type bool; int is needed"),
  ("train.learning_rate", "fast", "train.learning_rate: 'fast' is of type str; float is needed"),
  ("train", 3, "train: 3 is of type int; dict is needed"),
  ("data_dir", 3, "data_dir: 3 is of type int; str or nothing is needed"),
  ("optimizers.optimizers", ("sgd", 3), r"optimizers.optimizers\[1\]: 3 is of type int; str is needed"),
  ("train.steps", 0, "train.steps: 0 is less than 1"),
  ("train.microbatches", 3, "train.batch_size: 256 is not a multiple of microbatches=3"),
  ("train.learning_rate", float("nan"), "train.learning_rate: nan is not a finite number"),
  ("train.learning_rate", 0.0, "train.learning_rate: 0.0 is not greater than 0"),
  ("corpus.recipe.learning_rate", float("nan"), "corpus.recipe.learning_rate: nan is not a finite number"),
  ("corpus.recipe.learning_rate", -0.1, "corpus.recipe.learning_rate: -0.1 is not greater than 0"),
  ("train.behaviour", -1.0, "train.behaviour: -1.0 is less than 0"),
  ("train.behaviour_inputs", 0, "train.behaviour_inputs: 0 is less than 1"),
  ("train.pairs.weighting", "best", "train.pairs.weighting: unknown 'best'; it is one of: metric, uniform"),
  ("train.pairs.initial_fraction", 1.5, "train.pairs.initial_fraction: 1.5 is more than 1"),
  ("train.pairs.bins", 0, "train.pairs.bins: 0 is less than 1"),
  ("corpus.save_points", "rare", "corpus.save_points: unknown 'rare'; it is one of: log, uniform"),
  ("corpus.checkpoints", 1, "corpus.checkpoints: 1 is less than 2"),
  ("corpus.test_runs", 0, "corpus.test_runs: 0 is less than 1"),
  ("corpus.recipe.optimizer", "adam", "corpus.recipe.optimizer: unknown 'adam'; it is one of: sgd"),
  ("corpus.recipe.schedule", "step", "corpus.recipe.schedule: unknown 'step'"),
  ("model.heads", 3, "model.width: 128 is not a multiple of the 3 heads"),
  ("model.depth", 0, "model.depth: 0 is less than 1"),
  ("diffusion.timesteps", 0, "diffusion.timesteps: 0 is less than 1"),
  ("diffusion.schedule", "sine", "diffusion.schedule: unknown 'sine'; it is one of: linear, cosine"),
  ("diffusion.variable", "weights", "diffusion.variable: unknown 'weights'; it is one of: parameters, update"),
  ("diffusion.prediction", "v", "diffusion.prediction: unknown 'v'; it is one of: x0, noise"),
  ("sample.sampler", "euler", "sample.sampler: unknown 'euler'; it is one of: ddim, ddpm"),
  ("sample.steps", 0, "sample.steps: 0 is less than 1"),
  ("sample.steps", 1001, "sample.steps: 1001 is more than diffusion.timesteps=1000"),
  ("evaluate.alignment.prompts", 1, "evaluate.alignment.prompts: 1 is less than 2"),
  ("evaluate.experiments", ("walks",), "evaluate.experiments: unknown 'walks'; it is one of: alignment, course"),
  ("optimizers.networks", 1, "optimizers.networks: 1 is less than 2"),
  ("mesh.data", 0, "mesh.data: 0 is neither -1 nor at least 1"),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD)
def test_what_does_not_fit_is_named_in_one_line(path, value, message):
  with pytest.raises(ConfigError, match=message) as error:
    config.parse(changed(path, value))
  assert "\n" not in str(error.value)


# Each a real process, with what it must say: the ways a line can go wrong that only main.py sees, and one of each kind
# that it hands on.
BROKEN = {
  "not Python": ("def get_config():\n  return {\n", "line 2: SyntaxError: '{' was never closed"),
  "no such module": ("import nowhere\n", "line 1: ModuleNotFoundError: No module named 'nowhere'"),
  "a slip": ("def get_config():\n  return {}['task']\n", "line 2: KeyError: task"),
  "no configuration": ("def get_config():\n  return 3\n", "--config: get_config() gives 3; a ConfigDict is needed"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_experiment_file_is_named_with_the_line(name, tmp_path, process_environment):
  text, message = BROKEN[name]
  file = tmp_path / "experiment.py"
  file.write_text(text)
  command = [sys.executable, "main.py", f"--config={file}", f"--workdir={tmp_path}/workdir"]
  done = subprocess.run(command, cwd=ROOT, env=process_environment, capture_output=True, text=True)
  assert done.returncode == 2 and done.stdout == ""
  (line,) = done.stderr.splitlines()
  assert line.startswith("main.py: --config: ") and message in line
  assert not (tmp_path / "workdir").exists()


COMMANDS = {
  "unknown field": (["--config.train.stepz=3"], "--config.train.stepz: unknown field"),
  "missing experiment": (["--config=experiments/none.py"], "--config: [Errno 2] No such file or directory"),
  "unknown variant": (
    ["--config=experiments/digits_loss.py:nope"],
    "unknown variant 'nope'; it is default, chunk, truncated, paper or smoke",
  ),
  "wrong type": (["--config.train.steps=many"], "steps"),
  "unknown task": (["--config.task=mnits"], "unknown task 'mnits'"),
  "unknown stage": (["--stage=trian"], "--stage: unknown 'trian'; it is one of: corpus, train, evaluate, report, all"),
  "unwritable workdir": (["--workdir={file}/below"], "--workdir: cannot write to {file}/below"),
  "too many checkpoints": (["--config.corpus.checkpoints=5000"], "corpus.checkpoints: 5000 cannot be kept"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_main_says_in_one_line_what_is_wrong(name, tmp_path, process_environment):
  file = tmp_path / "file"
  file.touch()
  arguments, message = COMMANDS[name]
  command = [sys.executable, "main.py", "--config=experiments/digits_loss.py:smoke", f"--workdir={tmp_path}/workdir"]
  command += [argument.format(file=file) for argument in arguments]
  done = subprocess.run(command, cwd=ROOT, env=process_environment, capture_output=True, text=True)
  assert done.returncode == 2, done.stderr
  assert done.stdout == ""
  (line,) = done.stderr.splitlines()
  assert line.startswith("main.py: ") and message.format(file=file) in line


def test_what_the_loss_cannot_compare_is_refused():
  values = changed("train.behaviour", 1.0)
  config.parse(values)
  values["diffusion"]["prediction"] = "noise"
  with pytest.raises(ConfigError, match="train.behaviour: for diffusion.prediction=x0 alone, not noise"):
    config.parse(values)
