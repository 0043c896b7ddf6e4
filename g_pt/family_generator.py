"""A class transformer, the diffusion around it and its units: samples of networks for a data set that it is told of."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from g_pt.corpus.family_statistics import changes
from g_pt.corpus.pairs import Pairs
from g_pt.corpus.statistics import PromptRange, StartRange
from g_pt.diffusion import objective, samplers, schedule
from g_pt.diffusion.preconditioning import linear_error
from g_pt.generator import SampleConfig
from g_pt.keys import fold
from g_pt.parameters import ParameterSpec
from g_pt.parameters.units import DIFFUSED_STD
from g_pt.tasks import graph
from g_pt.tasks.base import Metric
from g_pt.tasks.graph import Graph
from g_pt.tasks.known import Known, nothing_known, some_examples
from g_pt.tasks.layers import flat_of, layers_of

# Of pairs that are noised from the model's own estimates: size of the noise, at least as much as is sampled with, and
# weight of the squared error, in units of what pure noise tells of x_0.
_OWN_NOISE, _OWN_WEIGHT = 0.5, 0.25
_OWN_SECOND = 0.6  # share of them that are noised from an estimate of an estimate


@dataclasses.dataclass(frozen=True, eq=False)
class FamilyGenerator:
  """p(theta* | theta, metric, prompt, data set) of networks of one hidden layer; `scale` is of changes, by kind."""

  spec: ParameterSpec
  metrics: tuple[Metric, ...]  # any of which is prompted
  module: nn.Module
  schedule: schedule.Schedule
  scale: Graph
  looked_at: int = 64  # examples of a class, while training goes on
  prompt_ranges: tuple[PromptRange, ...] = ()  # of each metric; prompts outside are clipped; none: taken as they are
  start_ranges: tuple[StartRange, ...] = ()  # of each metric; starts outside are brought to its bounds, when sampling

  @property
  def size(self) -> int:
    """Numbers that are diffused."""
    units, classes = self.spec.shapes[-1]
    return graph.size(units, classes)

  def init(self, key: Array) -> PyTree:
    """Random weights of the model."""
    start = layers_of(self.spec, jnp.zeros((1, self.spec.size)))
    change = self._graphs(jnp.zeros((1, self.size)), *start.outgoing.shape[1:])
    scalar = jnp.zeros(1)
    told, by = nothing_known(start.incoming.shape[1], start.outgoing.shape[2]), jnp.zeros(len(self.metrics))
    return self.module.init(key, change, change, scalar, start, scalar, scalar, scalar, by, told)

  def encode(
    self, target: Float[Array, "net parameter"], theta: Float[Array, "net parameter"], told: Known
  ) -> Float[Array, "net number"]:
    """Target and start networks -> x_0, as far as it can be said."""
    change = changes(self.spec, target, theta, told)
    return jax.vmap(graph.flatten)(jax.tree.map(lambda x, size: x / size[None], change, self.scale))

  def decode(
    self, x0: Float[Array, "net number"], theta: Float[Array, "net parameter"], told: Known
  ) -> Float[Array, "net parameter"]:
    """x_0 and the start network -> target network."""
    start = layers_of(self.spec, theta)
    change = jax.tree.map(lambda x, size: x * size[None], self._graphs(x0, *start.outgoing.shape[1:]), self.scale)
    return flat_of(self.spec, jax.vmap(functools.partial(graph.applied, told.discriminants))(start, change))

  def _graphs(self, numbers: Float[Array, "net number"], units: int, classes: int) -> Graph:
    return jax.vmap(lambda row: graph.unflatten(row, units, classes))(numbers)

  def _coordinate(self, value: Float[Array, "net"], by: Float[Array, "metric"]) -> Float[Array, "net"]:
    return by @ jnp.stack([metric.coordinate(value) for metric in self.metrics])

  def _model(self, weights: PyTree, theta, start_metric, prompt, told: Known, by) -> objective.Denoiser:
    """x_0 as a function of the noised vector and the timestep alone."""
    if self.prompt_ranges:
      low, high = by @ jnp.asarray(self.prompt_ranges)
      prompt = jnp.clip(prompt, low, high)
    start = layers_of(self.spec, theta)
    conditions = self._coordinate(start_metric, by), self._coordinate(prompt, by)
    graphs = functools.partial(self._graphs, units=start.outgoing.shape[1], classes=start.outgoing.shape[2])
    signal, noise = (jnp.asarray(x, jnp.float32) for x in (self.schedule.alpha_bar, 1.0 - self.schedule.alpha_bar))

    def model(xt: Float[Array, "net number"], timestep: Float[Array, "net"]) -> Float[Array, "net number"]:
      step = timestep.astype(jnp.int32)
      total = signal[step] * DIFFUSED_STD**2 + noise[step]
      guess = (jnp.sqrt(signal[step]) * DIFFUSED_STD**2 / total)[:, None] * xt
      error = DIFFUSED_STD * jnp.sqrt(noise[step] / total)
      place = timestep / len(self.schedule.timestep)
      x0: Any = self.module.apply(weights, graphs(xt), graphs(guess), error, start, place, *conditions, by, told)
      return jax.vmap(graph.flatten)(x0)

    return model

  def denoising_loss(
    self, weights: PyTree, pairs: Pairs, key: Array, told: Known, by: Float[Array, "metric"]
  ) -> tuple[Float[Array, "pair"], Float[Array, "pair parameter"]]:
    """The loss of each pair of one data set, in units of the linear guess's, and the target as it is estimated.

    The model looks at some of the examples alone, at others each time. Half of the
    pairs are not noised from their targets, but from what the model makes of pure
    noise, once or twice: while it samples, it sees what it has made itself, and has to
    mend that.
    Of these it is mostly what networks do that counts, by the estimate.
    """
    step_key, noise_key, own_key = jax.random.split(key, 3)
    told = some_examples(told, self.looked_at, fold(key, "examples"))
    x0 = self.encode(pairs.target, pairs.start, told)
    steps = objective.random_steps(step_key, self.schedule, x0.shape[0])
    noise = jax.random.normal(noise_key, x0.shape, x0.dtype)
    is_own = jnp.arange(x0.shape[0]) < x0.shape[0] // 2
    noise = jnp.where(is_own, _OWN_NOISE, 1.0)[:, None] * noise
    own = self._own_estimate(weights, jax.tree.map(lambda x: x[: x.shape[0] // 2], (pairs, noise)), told, by, own_key)
    noised = objective.q_sample(self.schedule, jnp.concatenate([own, x0[own.shape[0] :]]), steps, noise)
    model = self._model(weights, pairs.start, pairs.start_metric, pairs.target_metric, told, by)
    output = model(noised, jnp.asarray(self.schedule.timestep, x0.dtype)[steps])
    least = linear_error(self.schedule, jnp.full(1, DIFFUSED_STD))[steps]
    weight = jnp.where(is_own, _OWN_WEIGHT / DIFFUSED_STD**2, 1 / least)
    return weight * jnp.mean((output - x0) ** 2, axis=1), self.decode(output, pairs.start, told)

  def _own_estimate(
    self,
    weights: PyTree,
    of: tuple[Pairs, Float[Array, "pair number"]],  # with noise, as at the last timestep
    told: Known,
    by: Float[Array, "metric"],
    key: Array,
  ) -> Float[Array, "pair number"]:
    """x_0 of pairs as it is estimated from noise alone or, of some, from that estimate; a constant to gradients."""
    pairs, noise = of
    step_key, noise_key, which_key = jax.random.split(key, 3)
    model = self._model(weights, pairs.start, pairs.start_metric, pairs.target_metric, told, by)
    place = jnp.asarray(self.schedule.timestep, jnp.float32)
    first = model(noise, jnp.full(noise.shape[0], place[-1]))
    steps = objective.random_steps(step_key, self.schedule, noise.shape[0])
    noised = objective.q_sample(self.schedule, first, steps, _OWN_NOISE * jax.random.normal(noise_key, noise.shape))
    is_second = jax.random.bernoulli(which_key, _OWN_SECOND, (noise.shape[0], 1))
    return jax.lax.stop_gradient(jnp.where(is_second, model(noised, place[steps]), first))

  def update(
    self,
    config: SampleConfig,
    weights: PyTree,
    theta: Float[Array, "net parameter"],
    start_metric: Float[Array, "net"],
    prompt: Float[Array, "net"],
    key: Array,
    noise: Float[Array, "net number"],
    told: Known,
    by: Float[Array, "metric"],
  ) -> Float[Array, "net parameter"]:
    """One sample for each network, all for one data set and by one metric: `by` is 1 for it, 0 for the others."""
    if self.start_ranges:
      theta = self.spec.shortened(theta, self.start_ranges[0].size)
      low, high = by @ jnp.asarray([(bounds.low, bounds.high) for bounds in self.start_ranges])
      start_metric = jnp.clip(start_metric, low, high)
    model, start = self._model(weights, theta, start_metric, prompt, told, by), config.temperature * noise
    x0 = samplers.sample(config.sampler, model, self.schedule, config.steps, start, key, config.stop)
    return self.decode(x0, theta, told)
