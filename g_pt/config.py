"""The configuration of an experiment: frozen dataclasses, built strictly from plain dictionaries.

`default` makes the ConfigDict that experiment files start from, so that every
field and its default is written once, in the dataclass that uses it; `parse`
takes plain dictionaries, and beyond it there are only dataclasses.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from g_pt import models, tasks
from g_pt.corpus.generate import CorpusConfig
from g_pt.corpus.prepare import PrepareConfig
from g_pt.errors import ConfigError
from g_pt.evaluation.config import EvaluateConfig
from g_pt.generator import DiffusionConfig, SampleConfig
from g_pt.report.config import ReportConfig
from g_pt.sharding import MeshConfig
from g_pt.train import TrainConfig


@dataclasses.dataclass(frozen=True)
class Experiment:
  """Everything that a result depends on."""

  values: dict[str, Any]  # the plain dictionaries that it was parsed from, as files keep them
  task: str
  metric: str
  seed: int
  data_dir: str | None  # where datasets are kept; None: the default folder of TFDS
  corpus_path: str | None  # where the corpus is or will be; None: inside the workdir
  corpus: CorpusConfig
  recipe: Any
  prepare: PrepareConfig
  model: Any
  diffusion: DiffusionConfig
  train: TrainConfig
  sample: SampleConfig
  evaluate: EvaluateConfig
  report: ReportConfig
  mesh: MeshConfig


def default(task: str, metric: str, model: str = "neuron_transformer") -> ConfigDict:
  """A whole configuration of a task and metric, for an experiment file to change and a command line to override."""
  parts = {
    "diffusion": DiffusionConfig(),
    "train": TrainConfig(steps=2000),
    "sample": SampleConfig(),
    "evaluate": EvaluateConfig(),
    "report": ReportConfig(),
    "mesh": MeshConfig(),
  }
  corpus = CorpusConfig(runs=2048), PrepareConfig()
  values = {
    "task": task,
    "metric": metric,
    "seed": 0,
    "data_dir": placeholder(str),
    "corpus": {
      "path": placeholder(str),
      **{name: value for part in corpus for name, value in dataclasses.asdict(part).items()},
      "recipe": dataclasses.asdict(tasks.get(task).recipe),
    },
    "model": {"name": model, **dataclasses.asdict(models.get(model).config())},
    **{name: dataclasses.asdict(part) for name, part in parts.items()},
  }
  return ConfigDict(values)


def completed(values: dict[str, Any]) -> dict[str, Any]:
  """The values of an older file with the fields that have been added since; their defaults leave all as it was."""

  def complete(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    added = {name: value for name, value in new.items() if name not in old}
    shared = {name: complete(old[name], new[name]) for name in new.keys() & old.keys() if isinstance(old[name], dict)}
    return old | added | shared

  today = _named(functools.partial(default, values["task"], values["metric"]), values["model"]["name"])
  return complete(values, today.to_dict())


def parse(values: dict[str, Any]) -> Experiment:
  """Nested dictionaries -> Experiment. Raises ConfigError on an unknown or missing field or a wrong type."""
  top = _Fields("", values)
  task = _named(tasks.get, top.take("task", str))
  metric = top.take("metric", str)
  _named(task.metric, metric)
  corpus = _Fields("corpus", top.take("corpus", dict))
  path, recipe = corpus.take("path", str | None), corpus.take("recipe", dict)
  model = _Fields("model", top.take("model", dict))
  architecture = _named(models.get, model.take("name", str))
  experiment = Experiment(
    values=values,
    task=task.name,
    metric=metric,
    seed=top.take("seed", int),
    data_dir=top.take("data_dir", str | None),
    corpus_path=path,
    corpus=corpus.part(CorpusConfig),
    recipe=_Fields("corpus.recipe", recipe).whole(type(task.recipe)),
    prepare=corpus.whole(PrepareConfig),
    model=model.whole(architecture.config),
    diffusion=_Fields("diffusion", top.take("diffusion", dict)).whole(DiffusionConfig),
    train=_Fields("train", top.take("train", dict)).whole(TrainConfig),
    sample=_Fields("sample", top.take("sample", dict)).whole(SampleConfig),
    evaluate=_Fields("evaluate", top.take("evaluate", dict)).whole(EvaluateConfig),
    report=_Fields("report", top.take("report", dict)).whole(ReportConfig),
    mesh=_Fields("mesh", top.take("mesh", dict)).whole(MeshConfig),
  )
  top.end()
  if experiment.sample.steps > experiment.diffusion.timesteps:
    more = f"{experiment.sample.steps} is more than diffusion.timesteps={experiment.diffusion.timesteps}"
    raise ConfigError(f"sample.steps: {more}")
  return experiment


def _named(get, name: str) -> Any:
  try:
    return get(name)
  except ValueError as error:
    raise ConfigError(str(error)) from None


class _Fields:
  """The fields of one dictionary, taken one by one; what is left at the end is unknown."""

  def __init__(self, prefix: str, values: dict[str, Any]):
    self._prefix, self._values = prefix, dict(values)

  def _path(self, name: str) -> str:
    return f"{self._prefix}.{name}" if self._prefix else name

  def take(self, name: str, kind: Any) -> Any:
    if name not in self._values:
      raise ConfigError(f"{self._path(name)}: this field is missing")
    return _typed(self._path(name), self._values.pop(name), kind)

  def part(self, kind: type) -> Any:
    """A dataclass of those of the fields that it has."""
    hints = typing.get_type_hints(kind)
    arguments = {}
    for field in dataclasses.fields(kind):
      hint = hints[field.name]
      if dataclasses.is_dataclass(hint):
        nested = self.take(field.name, dict)
        arguments[field.name] = _Fields(self._path(field.name), nested).whole(hint)
      else:
        arguments[field.name] = self.take(field.name, hint)
    try:
      return kind(**arguments)
    except ValueError as error:
      raise ConfigError(str(error)) from None

  def whole(self, kind: type) -> Any:
    """A dataclass of all fields that are left."""
    value = self.part(kind)
    self.end()
    return value

  def end(self) -> None:
    if self._values:
      raise ConfigError(f"{self._path(next(iter(self._values)))}: unknown field")


def _typed(path: str, value: Any, kind: Any) -> Any:
  """The value, an int made a float where one is wanted; ConfigError where the type is wrong."""
  kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
  for wanted in kinds:
    origin = typing.get_origin(wanted) or wanted
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
      return float(value)
    if origin is tuple and isinstance(value, (list, tuple)):
      item = typing.get_args(wanted)[0]
      return tuple(_typed(f"{path}[{i}]", entry, item) for i, entry in enumerate(value))
    if isinstance(value, origin) and not (origin is int and isinstance(value, bool)):
      return value
  names = " or ".join("nothing" if kind is type(None) else kind.__name__ for kind in kinds)
  raise ConfigError(f"{path}: {value!r} is of type {type(value).__name__}; {names} is needed")
