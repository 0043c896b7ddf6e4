"""One G.pt update of unseen, randomly initialised networks, beside the curves of hand-made optimizers."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

from g_pt.evaluation.config import EvaluateConfig
from g_pt.sample import GPT
from g_pt.tasks.base import Metric


class OneUpdate(NamedTuple):
  prompt: float
  start: Float[np.ndarray, "net"]
  achieved: Float[np.ndarray, "net"]
  recorded: dict[str, Float[np.ndarray, "net"]]  # every number of the task, after the update


def measure_one_update(gpt: GPT, theta: Float[Array, "net parameter"], start: Float[Array, "net"], key) -> OneUpdate:
  """One sample at the best prompt for each network."""
  prompt = gpt.metric.best_prompt
  updated = gpt.update(theta, start, jnp.full(theta.shape[0], prompt), key)
  recorded = jax.device_get(gpt.measure_all(jax.vmap(gpt.task.spec.unflatten)(updated)))
  return OneUpdate(prompt, np.asarray(start), recorded[gpt.metric_name], recorded)


class Curve(NamedTuple):
  """One optimizer from the same initial networks, at the best of the learning rates tried."""

  learning_rate: float
  metric: Float[np.ndarray, "net point"]


class Curves(NamedTuple):
  step: Int[np.ndarray, "point"]
  by_optimizer: dict[str, Curve]


def optimizer_curves(
  gpt: GPT,
  recipe: Any,
  data: Any,
  theta: Float[Array, "net parameter"],
  tuning_theta: Float[Array, "tuning parameter"],
  config: EvaluateConfig,
  key: Array,
) -> Curves:
  """Each of the task's optimizers by the corpus's recipe, its learning rate chosen on other networks.

  The rate chosen is that of the best mean metric at the end of the tuning runs.
  """
  data = jax.device_put(data)
  steps = recipe.steps(data)
  points = np.unique(np.round(np.geomspace(1, steps, config.curve_points)).astype(np.int32))
  points = np.concatenate([[0], points]).astype(np.int32)
  tuning_key, curve_key = jax.random.split(key)
  rates = np.asarray(config.learning_rates, np.float32)
  by_optimizer = {}
  for optimizer in gpt.task.optimizers if config.optimizers is None else config.optimizers:
    train = jax.jit(functools.partial(gpt.task.train_group, gpt.task, dataclasses.replace(recipe, optimizer=optimizer)))

    def run(networks, learning_rates, key, saved, train=train):
      group = train(data, networks, jnp.asarray(learning_rates), key, jnp.asarray(saved))
      return np.asarray(group.metrics[gpt.metric_name])

    best = rates[0]
    if len(rates) > 1:
      networks, each = jnp.tile(tuning_theta, (len(rates), 1)), np.repeat(rates, len(tuning_theta))
      last = run(networks, each, tuning_key, points[[0, -1]])[:, -1]
      best = rates[_best(gpt.metric, last.reshape(len(rates), -1).mean(axis=1))]
    by_optimizer[optimizer] = Curve(float(best), run(theta, np.full(len(theta), best), curve_key, points))
  return Curves(points, by_optimizer)


def _best(metric: Metric, values: Float[np.ndarray, "candidate"]) -> int:
  """Index of the best; one that is not finite is the worst."""
  worse_up = np.where(np.isfinite(values), -values if metric.higher_is_better else values, np.inf)
  return int(np.argmin(worse_up))


def steps_to_match(metric: Metric, curves: Curves, achieved: float) -> dict[str, int | None]:
  """By optimizer, the first step at which its mean metric is as good as `achieved`; None: never in its run."""
  matched = {}
  for name, curve in curves.by_optimizer.items():
    mean = curve.metric.mean(axis=0)
    reached = np.flatnonzero(mean >= achieved if metric.higher_is_better else mean <= achieved)
    matched[name] = int(curves.step[reached[0]]) if len(reached) else None
  return matched
