"""What a G.pt is made from, but for its weights and its corpus's statistics."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

from g_pt import models, tasks
from g_pt.errors import ConfigError
from g_pt.fields import Fields, Settings
from g_pt.generator import DiffusionConfig, SampleConfig
from g_pt.tasks.base import Recipe, Task


@dataclasses.dataclass(frozen=True)
class Description:
  task: str
  metric: str
  recipe: Recipe  # of the runs; it says on what they are measured
  model: Settings
  diffusion: DiffusionConfig
  sample: SampleConfig


def describe(values: Mapping[str, Any]) -> Description:
  """The description in an experiment's nested dictionaries, whatever else they hold.

  Raises ConfigError, naming the field, on one that is unknown, missing or wrong.
  """
  top = Fields(values)
  task = top.named("task", tasks.get)
  metric = top.take("metric", str)
  try:
    task.metric(metric)
  except ValueError as error:
    raise ConfigError(f"metric: {error}") from None
  model = top.below("model")
  architecture = model.named("name", models.get)
  _check_sets(task, architecture)
  description = Description(
    task=task.name,
    metric=metric,
    recipe=top.below("corpus").below("recipe").whole(type(task.training.recipe)),
    model=model.whole(architecture.config),
    diffusion=top.below("diffusion").whole(DiffusionConfig),
    sample=top.below("sample").whole(SampleConfig),
  )
  diffusion = description.diffusion
  alone = DiffusionConfig(timesteps=diffusion.timesteps, schedule=diffusion.schedule)
  if architecture.many_sets and diffusion != alone:
    raise ConfigError("diffusion: of a family of data sets, timesteps and schedule alone are set")
  if description.sample.steps > description.diffusion.timesteps:
    more = f"{description.sample.steps} is more than diffusion.timesteps={description.diffusion.timesteps}"
    raise ConfigError(f"sample.steps: {more}")
  return description


def _check_sets(task: Task, architecture: models.Architecture) -> None:
  """A model that is told of a data set goes with a family of these."""
  if architecture.many_sets == (task.draw is not None):
    return
  fitting = ", ".join(name for name, other in models.ARCHITECTURES.items() if other.many_sets != architecture.many_sets)
  kind = "one data set" if task.draw is None else "many data sets"
  raise ConfigError(f"model.name: the task {task.name!r} has {kind}; for these there is: {fitting}")
