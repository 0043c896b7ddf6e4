"""The directions in which the first layer of a network for a data set moves, from the statistics of its classes alone.

Of each class two: (S + r I)^-1 (mu_c - mu), S the covariance within classes and
mu the mean of all, once with a small ridge r and once with a large one, that
smooths; the second less what they share with the first. Of each kind those nearest
to them are taken that do not go together, so that coordinates along them mean as
much for every data set. A unit also keeps some share of what it started with
outside of them. All this is measured in outputs: two weight vectors are near when
their products with the data are.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np
from scipy.sparse.linalg import eigsh

from g_pt.tasks.class_statistics import ClassStatistics

RIDGES = (0.05, 3.0)
RANK = 64
_LEAST = 1e-3  # share of the largest, below which what directions add to each other is noise


class Discriminants(NamedTuple):
  """Of one data set; a direction is of a class and a ridge, the classes of the first ridge before the others."""

  directions: Float[Array, "pixel direction"]  # as products with the data have a deviation of 1, or of 0
  coordinates: Float[Array, "direction pixel"]  # of weights, along the directions
  # Times its transpose: covariance of all examples, along its RANK largest axes.
  root: Float[Array, "pixel axis"]


class Along(NamedTuple):
  """A change of the weights of a first layer, but for what lies outside of the directions and of the weights' own."""

  coordinates: Float[Array, "direction unit"]
  own: Float[Array, "unit"]  # factor on the start's weights outside of the directions


def discriminants(statistics: ClassStatistics) -> Discriminants:
  """On the host, in double precision, as its matrices may be all but singular; classes weigh by their counts."""
  mean, weight = statistics.mean.astype(np.float64), statistics.share.astype(np.float64)[:, None]
  centred = mean - (weight * mean).sum(axis=0)
  within = np.einsum("c,cpq->pq", weight[:, 0], statistics.covariance)
  within = (within + within.T) / 2
  total = within + centred.T @ (weight * centred)
  columns, identity = np.zeros((mean.shape[1], 0)), np.eye(mean.shape[1])
  for ridge in RIDGES:
    new = np.linalg.solve(within + ridge * identity, centred.T)
    new = new - columns @ (columns.T @ total @ new)
    columns = np.concatenate([columns, _apart(new, total)], axis=1)
  return Discriminants(*(jnp.asarray(x, jnp.float32) for x in (columns, columns.T @ total, _root(total))))


def _apart(columns: np.ndarray, total: np.ndarray) -> np.ndarray:
  """The nearest directions whose products with the data do not go together; they add up to nothing all the same."""
  together = columns.T @ total @ columns
  size = np.sqrt(np.maximum(np.diagonal(together), 1e-12))
  sizes, axes = np.linalg.eigh(together / size[:, None] / size[None])
  inverse = np.where(sizes > _LEAST * sizes[-1], 1 / np.sqrt(np.maximum(sizes, _LEAST)), 0.0)
  return columns / size[None] @ (axes * inverse) @ axes.T


def _root(total: np.ndarray) -> np.ndarray:
  """By Lanczos' method where that saves time, from a start that is the same each time."""
  size = len(total)
  if size <= 2 * RANK:
    sizes, axes = np.linalg.eigh(total)
    sizes, axes = sizes[-RANK:], axes[:, -RANK:]
  else:
    sizes, axes = eigsh(total, RANK, v0=np.ones(size), tol=1e-4)
  return axes * np.sqrt(np.maximum(sizes, 0))


def outside(found: Discriminants, weights: Float[Array, "pixel unit"]) -> Float[Array, "pixel unit"]:
  """What of the weights lies along no direction."""
  return weights - found.directions @ (found.coordinates @ weights)


def along(found: Discriminants, start: Float[Array, "pixel unit"], change: Float[Array, "pixel unit"]) -> Along:
  """The nearest change of that form."""
  rest, moved = outside(found, start), outside(found, change)
  seen, moved = found.root.T @ rest, found.root.T @ moved
  size = jnp.sum(seen**2, axis=0)
  return Along(found.coordinates @ change, jnp.sum(moved * seen, axis=0) / jnp.maximum(size, 1e-12))


def change_of(found: Discriminants, start: Float[Array, "pixel unit"], moved: Along) -> Float[Array, "pixel unit"]:
  """The change itself."""
  return found.directions @ moved.coordinates + moved.own[None] * outside(found, start)
