"""What a network of one hidden layer does on classes that are taken for Gaussian: no image is needed, only statistics.

The pre-activation of a unit on a class is then Gaussian, and its mean output
after ReLU is known; the logits of the mean outputs stand for the mean logits.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from g_pt.tasks.class_statistics import ClassStatistics


class Layers(NamedTuple):
  """A network; inputs are pixels, outputs are classes."""

  incoming: Float[Array, "pixel unit"]
  bias: Float[Array, "unit"]
  outgoing: Float[Array, "unit output"]
  output_bias: Float[Array, "output"]


class Behaviour(NamedTuple):
  """On each class of a data set."""

  mean: Float[Array, "unit class"]  # of pre-activations
  deviation: Float[Array, "unit class"]
  firing: Float[Array, "unit class"]  # share of examples on which a unit is above 0
  activity: Float[Array, "unit class"]  # mean output of a unit
  logits: Float[Array, "output class"]
  log_probability: Float[Array, "output class"]


def behaviour(network: Layers, statistics: ClassStatistics) -> Behaviour:
  """Of one network on one data set."""
  mean = network.incoming.T @ statistics.mean.T + network.bias[:, None]
  spread = jnp.einsum("pu,cpq,qu->uc", network.incoming, statistics.covariance, network.incoming)
  deviation = jnp.sqrt(jnp.maximum(spread, 0.0) + 1e-6)
  firing = norm.cdf(mean / deviation)
  activity = mean * firing + deviation * norm.pdf(mean / deviation)
  logits = network.outgoing.T @ activity + network.output_bias[:, None]
  return Behaviour(mean, deviation, firing, activity, logits, jax.nn.log_softmax(logits, axis=0))


def loss(network: Layers, statistics: ClassStatistics) -> Float[Array, ""]:
  """Of the classes' mean outputs, in nats: a stand-in for the loss on examples, from below; classes weigh by counts."""
  share = statistics.count / jnp.sum(statistics.count)
  return -jnp.sum(share * jnp.diagonal(behaviour(network, statistics).log_probability))


def gradient(network: Layers, statistics: ClassStatistics) -> Layers:
  """Of `loss` by the network."""
  return jax.grad(loss)(network, statistics)
