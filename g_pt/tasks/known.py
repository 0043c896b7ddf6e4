"""What a generator is told of a data set: directions, how classes lie to each other, and some labelled examples."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

from g_pt.tasks.class_statistics import ClassStatistics, class_statistics
from g_pt.tasks.discriminants import RANK, RIDGES, Discriminants, discriminants

# Examples that stand for what is not known of covariances, see `class_statistics`: of a class, and of all classes.
SHARED, EVEN = 10.0, 30.0


# Of a device, or of the host.
AnyArray = Array | np.ndarray


class Known(NamedTuple):
  """Of one data set; examples are as many of each class, and any number."""

  discriminants: Discriminants
  share: Float[Array, "class"]  # of all examples, that are of a class
  relation: Float[Array, "class class relation"]  # of a direction's class, and of one that it meets
  examples: Float[Array, "class example pixel"]
  along: Float[Array, "class example direction"]  # their products with the directions
  count: Float[Array, "class"]  # of all examples of a class


def known_of(
  inputs: Float[AnyArray, "example pixel"], labels: Int[AnyArray, "example"], classes: int, count: int
) -> Known:
  """From labelled inputs, every class among them; `count` of each class are looked at, the rarer ones several times."""
  inputs, labels = (np.asarray(x) for x in jax.device_get((inputs, labels)))
  rng = np.random.default_rng(0)
  chosen = [np.resize(rng.permutation(np.flatnonzero(labels == label)), count) for label in range(classes)]
  return known(class_statistics(inputs, labels, classes, SHARED, EVEN), inputs[np.stack(chosen)])


def known(statistics: ClassStatistics, examples: Float[AnyArray, "class example pixel"]) -> Known:
  """From what is measured of a data set; on the host, see `discriminants`."""
  found = discriminants(statistics)
  along = np.asarray(examples) @ np.asarray(found.directions)
  parts = statistics.share, _relation(statistics, found), examples, along, statistics.count
  return Known(found, *map(jnp.asarray, parts))


def _relation(statistics: ClassStatistics, found: Discriminants) -> Float[np.ndarray, "class class relation"]:
  """What each class's directions show of the others: mean and deviation of their products, and the distance."""
  centred = statistics.mean - (statistics.share[:, None] * statistics.mean).sum(axis=0)
  columns, classes = np.asarray(found.directions), len(centred)
  means = columns.T @ centred.T  # [direction, class]
  spread = np.sum(columns * (statistics.covariance @ columns), axis=1).T
  kinds = means, np.sqrt(np.maximum(spread, 0) + 1e-6)
  features = [np.moveaxis(x.reshape(len(RIDGES), classes, classes), 0, 2) for x in kinds]
  seen = means[:classes]  # by the small ridge: differences in these are those of Mahalanobis
  apart = np.sqrt(np.mean((seen[:, :, None] - seen[:, None, :]) ** 2, axis=0) + 1e-6)
  return np.concatenate([*features, apart[:, :, None]], axis=2)


def few_of(labels: Int[np.ndarray, "example"], count: int, rng: np.random.Generator) -> Int[np.ndarray, "chosen"]:
  """Places of `count` examples of each class, or of all of a class that has fewer, drawn at random."""
  shuffled = rng.permutation(len(labels))
  return np.concatenate([shuffled[labels[shuffled] == label][:count] for label in np.unique(labels)])


def permuted(told: Known, order: Int[np.ndarray, "class"]) -> Known:
  """As if class `order[i]` were class i."""
  by_direction = np.concatenate([order + kind * len(order) for kind in range(len(RIDGES))])
  found = told.discriminants
  return Known(
    Discriminants(found.directions[:, by_direction], found.coordinates[by_direction], found.root),
    told.share[order],
    told.relation[order][:, order],
    told.examples[order],
    told.along[order][:, :, by_direction],
    told.count[order],
  )


def some_examples(told: Known, count: int, key: Array) -> Known:
  """With `count` of the examples of each class, drawn at random."""
  there = told.examples.shape[1]
  chosen = jax.random.permutation(key, there)[:count]
  return told._replace(examples=told.examples[:, chosen], along=told.along[:, chosen])


def nothing_known(pixels: int, classes: int) -> Known:
  """Zeros of the shapes of what is known, of one example a class."""
  directions = len(RIDGES) * classes
  found = Discriminants(
    jnp.zeros((pixels, directions)), jnp.zeros((directions, pixels)), jnp.zeros((pixels, min(pixels, RANK)))
  )
  examples, along = jnp.zeros((classes, 1, pixels)), jnp.zeros((classes, 1, directions))
  of_class, relation = jnp.zeros(classes), jnp.zeros((classes, classes, 2 * len(RIDGES) + 1))
  return Known(found, of_class, relation, examples, along, of_class)


def gaussian_examples(statistics: ClassStatistics, count: int, key: Array) -> Float[np.ndarray, "class example pixel"]:
  """As many of each class, from the Gaussian of its mean and covariance."""
  sizes, axes = np.linalg.eigh((statistics.covariance + np.swapaxes(statistics.covariance, 1, 2)) / 2)
  root = axes * np.sqrt(np.maximum(sizes, 0))[:, None]
  noise = np.asarray(jax.random.normal(key, (len(root), count, root.shape[1])))
  return statistics.mean[:, None] + noise @ np.swapaxes(root, 1, 2)
