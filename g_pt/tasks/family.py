"""Many data sets for one architecture: `mixes_8x8` is MLP 64-10-10, `mixes_28x28` MLP 784-10-10, on mixes of classes.

`mixes_8x8:digits,mnist` draws from these sources alone: `digits`, `letters` (see
g_pt.tasks.letters), or sets of TFDS by their names. What is not named is in no data set that is drawn.
`mixes_8x8@3` has data sets of three classes, and networks for as many; without it there are ten.
`mixes_8x8#776` is one data set as a task of its own: that of group 776 of a corpus
of seed 0. All three together are `mixes_8x8@3:digits,mnist#776`.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
from jaxtyping import Array

from g_pt.errors import ConfigError
from g_pt.keys import fold, stream
from g_pt.tasks import classifiers, datasets, letters, mixes, networks
from g_pt.tasks.base import Metric, Task
from g_pt.tasks.supervised import SupervisedRecipe

SIDES = {"mixes_8x8": 8, "mixes_28x28": 28}
SOURCES = ("digits", "mnist", "cifar10")
_SIZES = mixes.Sizes(classes=10, train=400, test=100)
_UNITS = 10


class _Named(NamedTuple):
  """The parts of a name."""

  size: str
  classes: str  # these three are empty where the name says nothing of them
  sources: str
  number: str

  @property
  def sizes(self) -> mixes.Sizes:
    """ValueError where the number of classes is none."""
    if not self.classes:
      return _SIZES
    if not self.classes.isdecimal() or int(self.classes) < 2:
      raise ValueError(f"{self.size}@{self.classes}: {self.classes!r} is not a number of classes from 2 on")
    return _SIZES._replace(classes=int(self.classes))


def _parts(name: str) -> _Named:
  family, _, number = name.partition("#")
  size, _, sources = family.partition(":")
  size, _, classes = size.partition("@")
  return _Named(size, classes, sources, number)


def is_name(name: str) -> bool:
  """Whether it is that of a family."""
  return _parts(name).size in SIDES


def side_of(name: str) -> int:
  """Pixels along an edge of the family's images."""
  return SIDES[_parts(name).size]


def sources_of(name: str) -> tuple[str, ...]:
  """What its data sets are drawn from."""
  named = _parts(name).sources
  return tuple(named.split(",")) if named else SOURCES


def classes_of(name: str) -> int:
  """Of a data set of the family."""
  return _parts(name).sizes.classes


def with_classes(name: str, classes: int) -> str:
  """The name of the same family with so many classes."""
  size, _, sources, number = _parts(name)
  counted = f"@{classes}" if classes != _SIZES.classes else ""
  return f"{size}{counted}" + (f":{sources}" if sources else "") + (f"#{number}" if number else "")


@functools.lru_cache
def task(name: str) -> Task:
  """The family of that name, or one data set of it, see above; ValueError where one of its numbers is none."""
  named, side = _parts(name), side_of(name)
  sizes, number = named.sizes, named.number
  if number and not number.isdecimal():
    raise ValueError(f"{name!r}: {number!r} is not the number of a data set")
  widths = (_UNITS, sizes.classes)
  return classifiers.task(
    name=name,
    classifier=networks.MLP(widths),
    hidden_layers=networks.mlp_hidden_layers(widths),
    input_shape=(side * side,),
    load=functools.partial(_load_one if number else load, name),
    metrics={
      "test_loss": Metric(label="test loss (nats)", higher_is_better=False, best_prompt=0.05),
      "test_error": Metric(label="test error (%)", higher_is_better=False, best_prompt=2.0),
    },
    recipe=SupervisedRecipe(epochs=10, batch_size=128),
    draw=None if number else functools.partial(mixes.draw, sizes),
  )


def load(name: str, data_dir: str | None = None) -> mixes.Sources:
  """Images of its sources; UserError where one cannot be had, ConfigError where they have too few classes together."""
  found = _pooled(sources_of(name), side_of(name), data_dir)
  try:
    mixes.check(found, _parts(name).sizes)
  except ConfigError as error:
    raise ConfigError(f"{name}: {error}") from None
  return found


@functools.lru_cache(4)
def _pooled(sources: tuple[str, ...], side: int, data_dir: str | None) -> mixes.Sources:
  """The same for every number of classes, so that it is kept: the family's own, and some that are held out."""
  return mixes.sources_of([_source(source, data_dir) for source in sources], side)


def _load_one(name: str, data_dir: str | None = None) -> datasets.Images:
  named = _parts(name)
  key = fold(stream(0, "corpus", "group", int(named.number)), "data set")
  return jax.device_get(jax.jit(functools.partial(mixes.draw, named.sizes))(load(name, data_dir), key))


def whole(name: str, source: str, data_dir: str | None, key: Array) -> datasets.Images:
  """A source as it is, or its first classes, as networks of the family `name` take it; errors as of `load`."""
  return mixes.whole(_parts(name).sizes, _pooled((source,), side_of(name), data_dir), key)


def _source(name: str, data_dir: str | None) -> datasets.Images:
  match name:
    case "digits":
      return datasets.digits()
    case "letters":
      return letters.letters()
  return datasets.tfds_images(name, data_dir)
