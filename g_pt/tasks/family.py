"""Many data sets for one architecture: `mixes_8x8` is MLP 64-10-10, `mixes_28x28` MLP 784-10-10, on mixes of classes.

`mixes_8x8:digits,mnist` draws from these sources alone: `digits`, or sets of
TFDS by their names. What is not named is in no data set that is drawn.
"""

from __future__ import annotations

import functools

from jaxtyping import Array

from g_pt.tasks import classifiers, datasets, mixes, networks
from g_pt.tasks.base import Metric, Task
from g_pt.tasks.supervised import SupervisedRecipe

SIDES = {"mixes_8x8": 8, "mixes_28x28": 28}
SOURCES = ("digits", "mnist", "cifar10")
_SIZES = mixes.Sizes(classes=10, train=400, test=100)
_WIDTHS = (10, 10)


def is_name(name: str) -> bool:
  """Whether it is that of a family."""
  return name.partition(":")[0] in SIDES


def side_of(name: str) -> int:
  """Pixels along an edge of the family's images."""
  return SIDES[name.partition(":")[0]]


def task(name: str) -> Task:
  """The family of that name, see above."""
  _, _, named = name.partition(":")
  side, sources = side_of(name), tuple(named.split(",")) if named else SOURCES
  return classifiers.task(
    name=name,
    classifier=networks.MLP(_WIDTHS),
    hidden_layers=networks.mlp_hidden_layers(_WIDTHS),
    input_shape=(side * side,),
    load=functools.partial(load, sources, side),
    metrics={
      "test_loss": Metric(label="test loss (nats)", higher_is_better=False, best_prompt=0.05),
      "test_error": Metric(label="test error (%)", higher_is_better=False, best_prompt=2.0),
    },
    recipe=SupervisedRecipe(epochs=10, batch_size=128),
    draw=draw,
  )


def load(sources: tuple[str, ...], side: int, data_dir: str | None = None) -> mixes.Sources:
  """Their images; UserError where a source cannot be had, ConfigError where none has ten classes."""
  found = mixes.sources_of([_source(name, data_dir) for name in sources], side)
  mixes.check(found, _SIZES)
  return found


def draw(sources: mixes.Sources, key: Array) -> datasets.Images:
  """One data set."""
  return mixes.draw(sources, _SIZES, key)


def whole(name: str, source: str, data_dir: str | None, key: Array) -> datasets.Images:
  """A source as it is, as networks of the family `name` take it; errors as of `load`."""
  return mixes.whole(_source(source, data_dir), _SIZES, side_of(name), key)


def _source(name: str, data_dir: str | None) -> datasets.Images:
  return datasets.digits() if name == "digits" else datasets.tfds_images(name, data_dir)
