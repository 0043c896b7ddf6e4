"""A trained G.pt of many data sets: given one, by its images and labels, it is a G.pt of that."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Int, Num, PyTree
import numpy as np

from g_pt import tasks
from g_pt.corpus.family_statistics import FamilyStatistics
from g_pt.description import Description
from g_pt.diffusion import schedule
from g_pt.errors import UserError
from g_pt.family_generator import FamilyGenerator
from g_pt.generator import SampleConfig
from g_pt.gpt import GPT
from g_pt.models.class_transformer import ClassTransformer, ClassTransformerConfig
from g_pt.tasks import family
from g_pt.tasks.base import Recipe, Task
from g_pt.tasks.datasets import Examples, Images
from g_pt.tasks.known import Known, known_of
from g_pt.tasks.pooling import pooled

EXAMPLES = 400  # of a class, at most, that a model looks at


@dataclasses.dataclass(frozen=True, eq=False)
class FamilyGPT:
  """A generator for a family of data sets, with its weights and defaults."""

  task: Task  # the family
  metric_name: str  # what prompts ask for, unless told otherwise
  recipe: Recipe
  generator: FamilyGenerator
  weights: PyTree
  statistics: FamilyStatistics
  config: SampleConfig
  data_dir: str | None  # where TFDS keeps data sets

  def with_config(self, config: SampleConfig) -> FamilyGPT:
    """The same, sampled otherwise."""
    return dataclasses.replace(self, config=config)

  def on(
    self,
    images: Num[np.ndarray | Array, "example ..."],
    labels: Int[np.ndarray | Array, "example"],
    test: tuple[Any, Any] | None = None,
    *,
    metric: str | None = None,
  ) -> GPT:
    """The G.pt of networks for a data set of one's own.

    Args:
      images: [example, row, column], perhaps with channels, or flat squares; bytes, or numbers. They become grey
        squares of the model's size, with mean 0 and deviation 1.
      labels: classes from 0 on, any number of them.
      test: (images, labels) that networks are measured on; None: the same as the model is told of.
      metric: what prompts ask for; None: as configured.

    Raises:
      UserError: images and labels that do not go together, a class without images, images that are all alike.
    """
    train = self._examples(images, labels, "images")
    mean, deviation = float(train.images.mean()), float(train.images.std())
    if not deviation > 0:
      raise UserError("images: all pixels are alike")
    parts = (train, train if test is None else self._examples(*test, "test"))
    train, judged = (Examples((part.images - mean) / deviation, part.labels) for part in parts)
    classes = 1 + max(int(part.labels.max()) for part in (train, judged))
    missing = set(range(classes)) - set(np.unique(train.labels).tolist())
    if missing or classes < 2:
      raise UserError(f"labels: of {max(classes, 2)} classes, from 0 on, class {min(missing, default=1)} has no images")
    return self.for_classes(classes).on_set(Images(train, judged, judged), metric)

  def for_classes(self, classes: int) -> FamilyGPT:
    """The same for networks of so many outputs."""
    if classes == self.classes:
      return self
    task, generator = _for_classes(self.generator, self.task.name, classes)
    return dataclasses.replace(self, task=task, generator=generator)

  def on_set(self, data: Images, metric: str | None = None, told: Known | None = None) -> GPT:
    """The G.pt of a data set as networks take it; `told`, of the training images unless it is given."""
    name = metric or self.metric_name
    names = list(self.statistics.prompt_ranges)
    if name not in names:
      raise UserError(f"metric: unknown {name!r}; it is one of: {', '.join(names)}")
    told = known_of(data.train.images, data.train.labels, self.classes, EXAMPLES) if told is None else told
    by = jnp.asarray([float(name == other) for other in names])
    return self._gpt(name, data, (told, by))

  def on_none(self) -> GPT:
    """What is the same for all data sets, as an object that can neither measure nor sample."""
    return self._gpt(self.metric_name, None, ())

  def _gpt(self, metric: str, data: Images | None, told: tuple[PyTree, ...]) -> GPT:
    recipe = dataclasses.replace(self.recipe, test_examples=0, train_examples=0)
    statistics = self.statistics.by(metric)
    return GPT(self.task, metric, recipe, self.generator, self.weights, statistics, self.config, lambda: data, told)

  def whole(self, source: str, key: Array) -> Images:
    """A source by its name, as networks take it; errors as of loading the family's own."""
    return family.whole(self.task.name, source, self.data_dir, key)

  @functools.cached_property
  def data(self) -> Any:
    """The family's sources, loaded once."""
    return self.task.load(self.data_dir)

  @property
  def classes(self) -> int:
    return self.task.spec.shapes[-1][1]

  def _examples(self, images: Any, labels: Any, name: str) -> Examples:
    try:
      squares = pooled(np.asarray(images), family.side_of(self.task.name))
    except ValueError as error:
      raise UserError(f"{name}: {str(error).removeprefix('images: ')}") from None
    labels = np.asarray(labels)
    if labels.shape != (len(squares),) or not np.issubdtype(labels.dtype, np.integer):
      found = f"{labels.dtype}{list(labels.shape)}"
      raise UserError(f"{name}: {len(squares)} images need as many whole numbers as labels, not {found}")
    if not len(labels) or labels.min() < 0:
      raise UserError(f"{name}: labels from 0 on are needed, not {labels.min() if len(labels) else 'none'}")
    return Examples(squares.reshape(len(squares), -1), labels.astype(np.int32))


@functools.lru_cache
def _for_classes(generator: FamilyGenerator, name: str, classes: int) -> tuple[Task, FamilyGenerator]:
  """One of each, so that what is compiled for them serves again."""
  task = family.task(family.with_classes(name, classes))
  return task, dataclasses.replace(generator, spec=task.spec)


def build(description: Description, statistics: FamilyStatistics, data_dir: str | None) -> FamilyGPT:
  """The G.pt of a description, without weights yet."""
  task, sizes = tasks.get(description.task), description.model
  assert isinstance(sizes, ClassTransformerConfig)
  return FamilyGPT(
    task=task,
    metric_name=description.metric,
    recipe=description.recipe,
    generator=FamilyGenerator(
      spec=task.spec,
      metrics=tuple(task.metric(name) for name in statistics.prompt_ranges),
      module=ClassTransformer(sizes, statistics.scale),
      schedule=schedule.make_schedule(description.diffusion.schedule, description.diffusion.timesteps),
      scale=statistics.scale,
      prompt_ranges=tuple(statistics.prompt_ranges.values()),
      start_ranges=tuple(statistics.start_ranges.values()),
    ),
    weights=None,
    statistics=statistics,
    config=description.sample,
    data_dir=data_dir,
  )
