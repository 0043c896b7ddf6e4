"""Many data sets for one architecture: `mixes_8x8` is MLP 64-10-10, `mixes_28x28` MLP 784-10-10, on mixes of classes.

`mixes_8x8:digits,mnist` draws from these sources alone: `digits`, `letters` (see
g_pt.tasks.letters), or sets of TFDS by their names. What is not named is in no data set that is drawn.
`mixes_8x8#776` is one data set as a task of its own: that of group 776 of a corpus
of seed 0.
"""

from __future__ import annotations

import functools

import jax
from jaxtyping import Array

from g_pt.keys import fold, stream
from g_pt.tasks import classifiers, datasets, letters, mixes, networks
from g_pt.tasks.base import Metric, Task
from g_pt.tasks.supervised import SupervisedRecipe

SIDES = {"mixes_8x8": 8, "mixes_28x28": 28}
SOURCES = ("digits", "mnist", "cifar10")
_SIZES = mixes.Sizes(classes=10, train=400, test=100)
_UNITS = 10


def is_name(name: str) -> bool:
  """Whether it is that of a family."""
  return _parts(name)[0] in SIDES


def _parts(name: str) -> tuple[str, str, str]:
  """(size, sources, number of a data set), each but the first perhaps empty."""
  family, _, number = name.partition("#")
  size, _, sources = family.partition(":")
  return size, sources, number


def side_of(name: str) -> int:
  """Pixels along an edge of the family's images."""
  return SIDES[_parts(name)[0]]


@functools.lru_cache
def task(name: str, classes: int = _SIZES.classes) -> Task:
  """The family of that name, or one data set of it, see above; ValueError where its number is none.

  With other `classes` it has networks for as many, but can draw no data sets.
  """
  _, named, number = _parts(name)
  side, sources = side_of(name), tuple(named.split(",")) if named else SOURCES
  if number and not number.isdecimal():
    raise ValueError(f"{name!r}: {number!r} is not the number of a data set")
  widths = (_UNITS, classes)
  return classifiers.task(
    name=name,
    classifier=networks.MLP(widths),
    hidden_layers=networks.mlp_hidden_layers(widths),
    input_shape=(side * side,),
    load=functools.partial(_load_one, int(number), sources, side) if number else functools.partial(load, sources, side),
    metrics={
      "test_loss": Metric(label="test loss (nats)", higher_is_better=False, best_prompt=0.05),
      "test_error": Metric(label="test error (%)", higher_is_better=False, best_prompt=2.0),
    },
    recipe=SupervisedRecipe(epochs=10, batch_size=128),
    draw=None if number else draw,
  )


def load(sources: tuple[str, ...], side: int, data_dir: str | None = None) -> mixes.Sources:
  """Their images; UserError where a source cannot be had, ConfigError where none has ten classes."""
  found = mixes.sources_of([_source(name, data_dir) for name in sources], side)
  mixes.check(found, _SIZES)
  return found


def _load_one(number: int, sources: tuple[str, ...], side: int, data_dir: str | None = None) -> datasets.Images:
  key = fold(stream(0, "corpus", "group", number), "data set")
  return jax.device_get(jax.jit(draw)(load(sources, side, data_dir), key))


def draw(sources: mixes.Sources, key: Array) -> datasets.Images:
  """One data set."""
  return mixes.draw(sources, _SIZES, key)


def whole(name: str, source: str, data_dir: str | None, key: Array) -> datasets.Images:
  """A source as it is, as networks of the family `name` take it; errors as of `load`."""
  return mixes.whole(_source(source, data_dir), _SIZES, side_of(name), key)


def _source(name: str, data_dir: str | None) -> datasets.Images:
  match name:
    case "digits":
      return datasets.digits()
    case "letters":
      return letters.letters()
  return datasets.tfds_images(name, data_dir)
