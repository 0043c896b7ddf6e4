"""What a generator is told of a data set: the mean and covariance of each class, and how many examples each has."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class ClassStatistics(NamedTuple):
  """Of the inputs of a data set, as networks take them."""

  mean: Float[Array, "class pixel"]
  covariance: Float[Array, "class pixel pixel"]
  count: Float[Array, "class"]


def class_statistics(
  inputs: Float[Array, "example pixel"],
  labels: Int[Array, "example"],
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
  member = jax.nn.one_hot(labels, classes)
  count = member.sum(axis=0)
  mean = member.T @ inputs / jnp.maximum(count, 1.0)[:, None]
  second = jax.lax.map(lambda of_class: (inputs * of_class[:, None]).T @ inputs, member.T)
  scatter = second - count[:, None, None] * mean[:, :, None] * mean[:, None, :]
  alike = 0.5 * jnp.var(inputs) * jnp.eye(inputs.shape[1])
  of_all = (scatter.sum(axis=0) + even * alike) / jnp.maximum(count.sum() + even, 1.0)
  weight = count[:, None, None] + shared
  covariance = (scatter + shared * of_all[None]) / jnp.where(weight > 0, weight, 1.0)
  return ClassStatistics(mean, jnp.where(weight > 0, covariance, of_all[None]), count)


def permuted(statistics: ClassStatistics, order: Int[Array, "class"]) -> ClassStatistics:
  """With class `order[i]` as class i."""
  return ClassStatistics(*(x[order] for x in statistics))
