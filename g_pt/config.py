"""The configuration of an experiment: frozen dataclasses, built strictly from plain dictionaries.

`default` makes the ConfigDict that experiment files start from, so that every
field and its default is written once, in the dataclass that uses it; `parse`
takes plain dictionaries, and beyond it there are only dataclasses.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import typing
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from g_pt import models, tasks
from g_pt.corpus.generate import CorpusConfig
from g_pt.corpus.split import SplitConfig
from g_pt.description import Description, describe
from g_pt.errors import ConfigError
from g_pt.fields import Fields, Settings
from g_pt.generator import DiffusionConfig, SampleConfig
from g_pt.optimizers.baselines import OptimizersConfig
from g_pt.plugins import PLUGINS
from g_pt.sharding import MeshConfig
from g_pt.tasks import family
from g_pt.tasks.base import Task
from g_pt.train.step import TrainConfig

# Parts of a description, and of an experiment beside it; `corpus`, `model` and `evaluate` are made of several.
_DESCRIBED: dict[str, type[Settings]] = {"diffusion": DiffusionConfig, "sample": SampleConfig}
_PARTS: dict[str, type[Settings]] = {"train": TrainConfig, "optimizers": OptimizersConfig, "mesh": MeshConfig}


@dataclasses.dataclass(frozen=True)
class Experiment(Description):
  """Everything that a result depends on."""

  values: dict[str, Any]  # the plain dictionaries that it was parsed from, as files keep them
  seed: int
  data_dir: str | None  # where data sets are kept; None: TFDS's folder and the user's cache
  corpus_path: str | None  # where the corpus is or will be; None: inside the workdir
  corpus: CorpusConfig
  split: SplitConfig
  experiments: tuple[str, ...]  # with the trained model: names of PLUGINS
  evaluate: Mapping[str, Settings]  # of each of PLUGINS
  train: TrainConfig
  optimizers: OptimizersConfig
  mesh: MeshConfig


def default(task: str, metric: str, model: str = "neuron_transformer") -> ConfigDict:
  """A whole configuration of a task and metric, for an experiment file to change and a command line to override."""
  values = {
    "task": task,
    "metric": metric,
    "seed": 0,
    "data_dir": placeholder(str),
    "corpus": {
      "path": placeholder(str),
      **_plain(CorpusConfig()),
      **_plain(SplitConfig()),
      "recipe": _plain(tasks.get(task).training.recipe),
    },
    "model": {"name": model, **_plain(models.get(model).config())},
    "evaluate": {
      "experiments": tuple(
        name for name, plugin in PLUGINS.items() if plugin.by_default and plugin.suits(tasks.get(task))
      ),
      **{name: _plain(plugin.evaluation.Settings()) for name, plugin in PLUGINS.items()},
    },
    **{name: _plain(kind()) for name, kind in {**_DESCRIBED, **_PARTS}.items()},
  }
  return ConfigDict(values)


def _plain(settings: Any) -> dict[str, Any]:
  """Settings as a dictionary; where one may be nothing and is, a command line must know its type."""
  hints = typing.get_type_hints(type(settings))
  values = {}
  for field in dataclasses.fields(settings):
    value, kinds = getattr(settings, field.name), typing.get_args(hints[field.name])
    if dataclasses.is_dataclass(value):
      value = _plain(value)
    elif value is None:
      kind = next(kind for kind in kinds if kind is not type(None))
      value = placeholder(typing.get_origin(kind) or kind)
    values[field.name] = value
  return values


def parse(values: dict[str, Any]) -> Experiment:
  """Nested dictionaries -> Experiment. Raises ConfigError on an unknown or missing field or a wrong type."""
  description = describe(values)
  top = Fields({name: value for name, value in values.items() if name not in {"task", "metric", "model", *_DESCRIBED}})
  corpus, evaluate = top.below("corpus"), top.below("evaluate")
  corpus.take("recipe", dict)
  experiment = Experiment(
    **{field.name: getattr(description, field.name) for field in dataclasses.fields(description)},
    values=values,
    seed=top.take("seed", int),
    data_dir=top.take("data_dir", str | None),
    corpus_path=corpus.take("path", str | None),
    corpus=corpus.part(CorpusConfig),
    split=corpus.whole(SplitConfig),
    experiments=_known(evaluate.take("experiments", tuple[str, ...]), tasks.get(description.task)),
    evaluate={name: evaluate.below(name).whole(plugin.evaluation.Settings) for name, plugin in PLUGINS.items()},
    **{name: top.below(name).whole(kind) for name, kind in _PARTS.items()},
  )
  evaluate.end()
  top.end()
  _check_behaviour(experiment)
  _check_family(experiment)
  return experiment


def _known(experiments: tuple[str, ...], task: Task) -> tuple[str, ...]:
  """Names of PLUGINS that suit the task; `all` stands for each of them."""
  fitting = [name for name, plugin in PLUGINS.items() if plugin.suits(task)]
  if experiments == ("all",):
    return tuple(fitting)
  for name in experiments:
    if name not in fitting:
      what = f"not for the task {task.name!r}:" if name in PLUGINS else "unknown"
      raise ConfigError(f"evaluate.experiments: {what} {name!r}; it is one of: {', '.join(fitting)}; or all")
  return experiments


def _check_family(experiment: Experiment) -> None:
  """What is chosen within runs, and read along the way, is of one data set; other numbers of classes are of many."""
  if tasks.get(experiment.task).draw is None:
    if experiment.train.classes is not None:
      raise ConfigError("train.classes: for tasks of many data sets alone")
    return
  _check_classes(experiment)
  split = experiment.split
  if any(value is not None for value in (split.only_up_to, split.used_checkpoints)):
    raise ConfigError("corpus: only_up_to and used_checkpoints are for tasks of one data set")
  if experiment.train.stream:
    raise ConfigError("train.stream: a corpus of many data sets is held in memory")
  if experiment.corpus.runs % experiment.corpus.group_size:
    whole = f"{experiment.corpus.runs} is not a multiple of group_size={experiment.corpus.group_size}"
    raise ConfigError(f"corpus.runs: {whole}, the runs of a data set")
  train = experiment.train
  if train.batch_size % (train.pairs.of_a_set * train.microbatches):
    of_a_part = f"train.pairs.of_a_set={train.pairs.of_a_set} times microbatches={train.microbatches}"
    raise ConfigError(f"train.batch_size: {train.batch_size} is not a multiple of {of_a_part}")


def _check_classes(experiment: Experiment) -> None:
  """Each number of classes once, all of its runs in use."""
  further = experiment.train.classes
  if further is None:
    return
  own = family.classes_of(experiment.task)
  for number in further:
    if number == own or further.count(number) > 1:
      raise ConfigError(f"train.classes: {number} is there twice; the task {experiment.task!r} itself has {own}")
  if experiment.split.used_runs is not None:
    raise ConfigError("corpus.used_runs: of further train.classes all runs are used; set these to none")


def _check_behaviour(experiment: Experiment) -> None:
  """What the loss compares, beside weights, must be there."""
  if not experiment.train.behaviour:
    return
  if experiment.diffusion.prediction != "x0":
    raise ConfigError(f"train.behaviour: for diffusion.prediction=x0 alone, not {experiment.diffusion.prediction}")
  if tasks.get(experiment.task).training.examples is None:
    raise ConfigError(f"train.behaviour: the task {experiment.task!r} has no inputs to compare networks on")
