"""What is known of the classes of a data set: the mean and covariance of each, and how many examples each has."""

from __future__ import annotations

from typing import NamedTuple

import jax
from jaxtyping import Array, Float, Int
import numpy as np


class ClassStatistics(NamedTuple):
  """Of the inputs of a data set, as networks take them; on the host."""

  mean: Float[np.ndarray, "class pixel"]
  covariance: Float[np.ndarray, "class pixel pixel"]
  count: Float[np.ndarray, "class"]

  @property
  def share(self) -> Float[np.ndarray, "class"]:
    """Of all examples, that are of a class."""
    return self.count / self.count.sum()


def class_statistics(
  inputs: Float[Array | np.ndarray, "example pixel"],
  labels: Int[Array | np.ndarray, "example"],
  classes: int,
  shared: float = 0.0,
  even: float = 0.0,
) -> ClassStatistics:
  """Of labelled examples, in one pass.

  With few examples a class's covariance is not its own: it is a mean of that,
  weighed by its count, and of all classes' together, weighed by `shared`. That one
  is a mean of what is found, weighed by all counts, and of a covariance that is
  alike in all directions, half of the inputs' variance, weighed by `even`. With 0
  for both they are as they are found. A class without examples has mean 0.
  """
  inputs, labels = (np.asarray(x) for x in jax.device_get((inputs, labels)))
  of_class = [inputs[labels == label] for label in range(classes)]
  count = np.array([len(some) for some in of_class], np.float32)
  mean = np.stack([some.sum(axis=0) / max(1, len(some)) for some in of_class])
  scatter = np.stack([(some - middle).T @ (some - middle) for some, middle in zip(of_class, mean)])
  alike = 0.5 * inputs.var() * np.eye(inputs.shape[1], dtype=np.float32)
  of_all = (scatter.sum(axis=0) + even * alike) / max(count.sum() + even, 1.0)
  weight = count[:, None, None] + shared
  covariance = np.where(weight > 0, (scatter + shared * of_all) / np.where(weight > 0, weight, 1.0), of_all)
  return ClassStatistics(mean.astype(np.float32), covariance.astype(np.float32), count)


def permuted(statistics: ClassStatistics, order: Int[Array | np.ndarray, "class"]) -> ClassStatistics:
  """With class `order[i]` as class i."""
  return ClassStatistics(*(x[np.asarray(order)] for x in statistics))
