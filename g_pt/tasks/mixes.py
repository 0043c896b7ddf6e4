"""Data sets drawn from sources: classes, each of some source and in a view of its own, with labels in random order.

One architecture learns many data sets: the runs of a group share one, which
follows from the group's key, so that no image need be kept in a corpus. A
data set is one source as it is (a fifth), one source whose classes are turned
and mirrored each in its own way (a fifth), a mix of classes of all (two), or of
relatives: a few classes, each of which is there several times, warped each time
in another way, so that some are near each other and some are far (a fifth). Of more
classes than any source has, there are only the last two kinds. Each
has a contrast, half of the others a smooth warp, and pixels of mean 0 and deviation 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Bool, Float, Int, UInt8
import numpy as np

from g_pt.errors import ConfigError
from g_pt.tasks.datasets import Examples, Images
from g_pt.tasks.pooling import pooled

VIEWS = 8  # turns and mirrorings of a square
_CONTRAST = (0.7, 1.4)  # powers of pixels
_WARP = 0.08  # of the side: deviation of how far a pixel moves
_KNOTS = 3  # of a warp, along each axis
_KINDS, _OF_ONE_SOURCE = 5, 2  # a source as it is, a source in views; two of mixes, relatives
_ANCESTORS = (3, 8)  # of relatives, the second one more than there may be


class Pool(NamedTuple):
  """Images of all classes of all sources, filled up to one number by zeros; bytes, as they take the least memory."""

  images: UInt8[Array | np.ndarray, "class example side side"]
  count: Int[Array | np.ndarray, "class"]


class Sources(NamedTuple):
  """What data sets are drawn from; images of the pool `test` are in none that a network trains on."""

  train: Pool
  test: Pool
  first: Int[Array | np.ndarray, "source"]  # class of each source, the others follow
  classes: Int[Array | np.ndarray, "source"]  # how many it has


class Sizes(NamedTuple):
  """How large a data set is."""

  classes: int = 10
  train: int = 400  # images of a class
  test: int = 100  # of a class; half of them are recorded, half final


def sources_of(data: Sequence[Images], side: int) -> Sources:
  """Data sets as sources, their images pooled to `side` x `side`; other numbers are brought to the range of bytes."""
  pools = []
  for parts in ([part.train for part in data], [_joined(part.recorded, part.final) for part in data]):
    of_class = [
      _as_bytes(pooled(np.asarray(part.images), side))[np.asarray(part.labels) == label]
      for part in parts
      for label in range(int(np.max(part.labels)) + 1)
    ]
    most = max(map(len, of_class))
    images = np.zeros((len(of_class), most, side, side), np.uint8)
    for into, some in zip(images, of_class):
      into[: len(some)] = some
    pools.append(Pool(images, np.array([len(some) for some in of_class], np.int32)))
  classes = np.array([int(np.max(part.train.labels)) + 1 for part in data], np.int32)
  train, test = pools
  return Sources(train, test, np.concatenate([[0], np.cumsum(classes)[:-1]]).astype(np.int32), classes)


def _joined(*parts: Examples) -> Examples:
  return Examples(*(np.concatenate([np.asarray(x) for x in both]) for both in zip(*parts)))


def _as_bytes(images: np.ndarray) -> np.ndarray:
  low, high = images.min(), images.max()
  stretched = images if low >= 0 and high <= 1 else (images - low) / (high - low)
  return np.rint(255 * stretched).astype(np.uint8)


def check(sources: Sources, sizes: Sizes) -> None:
  """Raises ConfigError where there are too few classes."""
  there = int(np.sum(np.asarray(sources.classes)))
  if there < sizes.classes:
    raise ConfigError(f"classes: {sizes.classes} are wanted, and the sources have {there}")


def draw(sizes: Sizes, sources: Sources, key: Array) -> Images:
  """A data set; images are flat, and networks take them as they are."""
  class_key, image_key, look_key = jax.random.split(key, 3)
  drawn = _classes(sources, sizes.classes, class_key)
  look = functools.partial(_look, side=sources.train.images.shape[-1])
  keys = jnp.where(drawn.relatives, jax.random.split(look_key, sizes.classes), look_key)
  return _made(sources, sizes, drawn, lambda images, number: look(keys[number], drawn.relatives)(images), image_key)


def whole(sizes: Sizes, sources: Sources, key: Array) -> Images:
  """The first classes as they are, in their own order; images of each as `draw` has them, drawn anew.

  Raises ConfigError where there are too few classes.
  """
  check(sources, sizes)
  classes = jnp.arange(sizes.classes)
  drawn = Drawn(classes, jnp.zeros_like(classes), jnp.bool_(False))
  return _made(sources, sizes, drawn, lambda images, number: images, key)


def _made(
  sources: Sources,
  sizes: Sizes,
  drawn: Drawn,
  look: Callable[[Array, Array], Array],  # of images of a class, and its number
  key: Array,
) -> Images:
  def part(pool: Pool, count: int, key: Array) -> Array:
    def of_one(number: Array, key: Array) -> Array:
      chosen = drawn.classes[number]
      index = jax.random.randint(key, (count,), 0, jnp.asarray(pool.count)[chosen])
      images = jnp.asarray(pool.images)[chosen, index].astype(jnp.float32) / 255
      return look(_viewed(images, drawn.views[number]), number)

    return jax.vmap(of_one)(jnp.arange(sizes.classes), jax.random.split(key, sizes.classes))

  train, test = (
    part(pool, count, jax.random.fold_in(key, number))
    for number, (pool, count) in enumerate(((sources.train, sizes.train), (sources.test, sizes.test)))
  )
  mean, deviation = train.mean(), train.std()
  train, test = ((x.reshape(*x.shape[:2], -1) - mean) / deviation for x in (train, test))
  half = sizes.test // 2
  return Images(_labelled(train), _labelled(test[:, :half]), _labelled(test[:, half:]))


def _labelled(images: Float[Array, "class example pixel"]) -> Examples:
  labels = jnp.repeat(jnp.arange(images.shape[0]), images.shape[1])
  return Examples(images.reshape(-1, images.shape[2]), labels)


class Drawn(NamedTuple):
  """Of which classes of the pools a data set is made."""

  classes: Int[Array, "class"]  # in random order
  views: Int[Array, "class"]  # that they are seen in
  relatives: Bool[Array, ""]  # whether each has a contrast and a warp of its own


def _classes(sources: Sources, count: int, key: Array) -> Drawn:
  kind_key, source_key, class_key, view_key = jax.random.split(key, 4)
  first, classes = jnp.asarray(sources.first), jnp.asarray(sources.classes)
  kind = jax.random.randint(kind_key, (), jnp.where(classes.max() >= count, 0, _OF_ONE_SOURCE), _KINDS)
  relatives = kind == _KINDS - 1
  source = jax.random.categorical(source_key, jnp.where(classes >= count, 0.0, -jnp.inf))
  every = jnp.arange(sources.train.count.shape[0])
  of_source = (every >= first[source]) & (every < first[source] + classes[source])
  wanted = of_source | (kind >= _OF_ONE_SOURCE)
  chosen = jnp.argsort(jnp.where(wanted, jax.random.uniform(class_key, every.shape), 2.0))[:count]
  views = jax.random.randint(view_key, (count,), 0, VIEWS)
  number_key, ancestor_key = jax.random.split(view_key)
  ancestors = jax.random.randint(number_key, (), *_ANCESTORS)
  of_relatives = chosen[jax.random.randint(ancestor_key, (count,), 0, jnp.minimum(ancestors, count))]
  return Drawn(jnp.where(relatives, of_relatives, chosen), jnp.where(kind == 1, views, 0), relatives)


def _viewed(images: Float[Array, "example side side"], view: Int[Array, ""]) -> Float[Array, "example side side"]:
  """Turned by `view % 4` quarters, from 4 on mirrored first."""
  turns = [lambda x, k=k, m=m: jnp.rot90(x[:, :, ::-1] if m else x, k, (1, 2)) for m in (0, 1) for k in range(4)]
  return lax.switch(view, turns, images)


def _look(key: Array, warped: Bool[Array, ""], side: int) -> Callable[[Array], Array]:
  """A contrast and, surely where `warped`, a warp, the same for all images."""
  contrast_key, warp_key, whether_key = jax.random.split(key, 3)
  low, high = np.log(_CONTRAST)
  power = jnp.exp(jax.random.uniform(contrast_key, (), minval=low, maxval=high))
  knots = side * _WARP * jax.random.normal(warp_key, (2, _KNOTS, _KNOTS))
  moved = jax.image.resize(knots, (2, side, side), "cubic") * (warped | jax.random.bernoulli(whether_key))
  places = jnp.stack(jnp.meshgrid(jnp.arange(side), jnp.arange(side), indexing="ij")) + moved

  def look(images: Float[Array, "example side side"]) -> Float[Array, "example side side"]:
    warped = jax.vmap(lambda image: map_coordinates(image, list(places), 1, mode="nearest"))(images)
    return jnp.maximum(warped, 0.0) ** power

  return look
