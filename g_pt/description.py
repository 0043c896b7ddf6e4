"""What a G.pt is made from, but for its weights and its corpus's statistics."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

from g_pt import models, tasks
from g_pt.errors import ConfigError
from g_pt.fields import Fields, Settings
from g_pt.generator import DiffusionConfig, SampleConfig
from g_pt.tasks.base import Recipe


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
  description = Description(
    task=task.name,
    metric=metric,
    recipe=top.below("corpus").below("recipe").whole(type(task.training.recipe)),
    model=model.whole(architecture.config),
    diffusion=top.below("diffusion").whole(DiffusionConfig),
    sample=top.below("sample").whole(SampleConfig),
  )
  if description.sample.steps > description.diffusion.timesteps:
    more = f"{description.sample.steps} is more than diffusion.timesteps={description.diffusion.timesteps}"
    raise ConfigError(f"sample.steps: {more}")
  return description
