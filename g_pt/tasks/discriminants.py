"""The directions in which the first layer of a network for a data set moves, from the statistics of its classes alone.

Of each class two: (S + r I)^-1 (mu_c - mu), S the covariance within classes and
mu the mean of all, once with a small ridge r and once with a large one, that
smooths. The second are taken less what they share with the first. A unit also
keeps some share of what it started with outside of them. All this is measured in
outputs: two weight vectors are near when their products with the data are.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from g_pt.tasks.class_statistics import ClassStatistics

RIDGES = (0.05, 3.0)


class Discriminants(NamedTuple):
  """Of one data set; a direction is of a class and a ridge, the classes of the first ridge before the others."""

  directions: Float[Array, "pixel direction"]  # products with the data have a standard deviation of 1
  coordinates: Float[Array, "direction pixel"]  # takes weights to the shortest vector of what lies along directions
  total: Float[Array, "pixel pixel"]  # covariance of all examples


class Along(NamedTuple):
  """A change of the weights of a first layer, but for what lies outside of the directions and of the weights' own."""

  coordinates: Float[Array, "direction unit"]
  own: Float[Array, "unit"]  # factor on the start's weights outside of the directions


def discriminants(statistics: ClassStatistics) -> Discriminants:
  """On the host, in double precision, as its matrices may be all but singular; classes weigh by their counts."""
  mean, covariance, count = (np.asarray(x, np.float64) for x in statistics)
  weight = (count / count.sum())[:, None]
  centred = mean - (weight * mean).sum(axis=0)
  within = (weight[:, :, None] * (covariance + np.swapaxes(covariance, 1, 2)) / 2).sum(axis=0)
  total = within + centred.T @ (weight * centred)
  columns, identity = np.zeros((mean.shape[1], 0)), np.eye(mean.shape[1])
  for ridge in RIDGES:
    new = np.linalg.solve(within + ridge * identity, centred.T)
    new = new - columns @ (_inverse(columns, total) @ (columns.T @ total @ new))
    size = np.sqrt(np.einsum("pd,pq,qd->d", new, total, new))
    columns = np.concatenate([columns, new / np.maximum(size, 1e-6)], axis=1)
  coordinates = _inverse(columns, total) @ columns.T @ total
  return Discriminants(*(jnp.asarray(x, jnp.float32) for x in (columns, coordinates, total)))


def _inverse(columns: np.ndarray, total: np.ndarray) -> np.ndarray:
  """Of the products of directions with each other; theirs add up to nothing, so that it is a pseudo-inverse."""
  return np.linalg.pinv(columns.T @ total @ columns, rcond=1e-6, hermitian=True)


def outside(found: Discriminants, weights: Float[Array, "pixel unit"]) -> Float[Array, "pixel unit"]:
  """What of the weights lies along no direction."""
  return weights - found.directions @ (found.coordinates @ weights)


def along(found: Discriminants, start: Float[Array, "pixel unit"], change: Float[Array, "pixel unit"]) -> Along:
  """The nearest change of that form."""
  rest, moved = outside(found, start), outside(found, change)
  seen = found.total @ rest
  size = jnp.sum(rest * seen, axis=0)
  return Along(found.coordinates @ change, jnp.sum(moved * seen, axis=0) / jnp.maximum(size, 1e-12))


def change_of(found: Discriminants, start: Float[Array, "pixel unit"], moved: Along) -> Float[Array, "pixel unit"]:
  """The change itself."""
  return found.directions @ moved.coordinates + moved.own[None] * outside(found, start)
