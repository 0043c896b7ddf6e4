"""Prompt alignment: does a network get the metric that was asked for?"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from g_pt.sample import GPT


def prompt_alignment(prompted: Float[Array, "net prompt"], achieved: Float[Array, "net prompt"]) -> Float[Array, ""]:
  """Mean over networks of the R^2 of achieved against prompted metrics.

  1 is perfect; a model that leaves every network as it was scores about -2.71
  on evenly spaced prompts. Peebles et al. 2022, section 4. A network that is
  nearly at its best from the start does not count: over prompts that lie within
  a twentieth of the widest range R^2 tells of noise alone, and over one it is none.
  """
  residual = jnp.sum((prompted - achieved) ** 2, axis=1)
  spread = jnp.sum((prompted - prompted.mean(axis=1, keepdims=True)) ** 2, axis=1)
  return jnp.mean(1.0 - residual / spread, where=spread > 0.05**2 * jnp.max(spread))


class Alignment(NamedTuple):
  prompted: Float[Array, "net prompt"]
  achieved: Float[Array, "net prompt"]

  @property
  def score(self) -> float:
    return float(prompt_alignment(self.prompted, self.achieved))


def measure_alignment(
  gpt: GPT,
  theta: Float[Array, "net parameter"],
  start_metric: Float[Array, "net"],
  prompts: int,
  key: Array,
) -> Alignment:
  """One sample for each of `prompts` metrics between the best and the network's own (or the task's share of it)."""
  fraction = jnp.linspace(0.0, 1.0, prompts)
  best = gpt.metric.best_prompt
  prompted = best + fraction[None] * (gpt.metric.own_share * start_metric[:, None] - best)
  rows = jnp.repeat(theta, prompts, axis=0), jnp.repeat(start_metric, prompts)
  updated = gpt.update(*rows, prompted.ravel(), key)
  achieved = gpt.measure(jax.vmap(gpt.task.spec.unflatten)(updated))
  return Alignment(prompted, achieved.reshape(prompted.shape))
