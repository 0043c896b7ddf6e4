"""A class transformer, the diffusion around it and its units: samples of networks for a data set that it is told of."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree
import numpy as np

from g_pt.corpus.pairs import Pairs
from g_pt.diffusion import objective, samplers, schedule
from g_pt.diffusion.preconditioning import linear_error
from g_pt.generator import SampleConfig
from g_pt.models.class_transformer import Known
from g_pt.parameters import ParameterSpec
from g_pt.parameters.units import DIFFUSED_STD
from g_pt.tasks import graph
from g_pt.tasks.base import Metric
from g_pt.tasks.graph import Graph
from g_pt.tasks.mean_field import Layers


@dataclasses.dataclass(frozen=True, eq=False)
class FamilyGenerator:
  """p(theta* | theta, metric, prompt, data set) of networks of one hidden layer; `scale` is of changes, by kind."""

  spec: ParameterSpec
  metric: Metric
  module: nn.Module
  schedule: schedule.Schedule
  scale: Graph
  example: Known  # of one data set: the shapes of what the model is told

  def init(self, key: Array) -> PyTree:
    """Random weights of the model."""
    start = self.layers(jnp.zeros((1, self.spec.size)))
    units, classes = start.outgoing.shape[1:]
    change = self._graphs(jnp.zeros((1, graph.size(units, classes))), units, classes)
    scalar = jnp.zeros(1)
    return self.module.init(key, change, change, scalar, start, scalar, scalar, scalar, self.example)

  def layers(self, theta: Float[Array, "net parameter"]) -> Layers:
    """Flat networks -> their layers, each with the net in front."""

    def one(theta: Float[Array, "parameter"]) -> Layers:
      first, second = self.spec.unflatten(theta).values()
      return Layers(first["kernel"], first["bias"], second["kernel"], second["bias"])

    return jax.vmap(one)(theta)

  def _flat(self, layers: Layers) -> Float[Array, "net parameter"]:
    def one(layers: Layers) -> Float[Array, "parameter"]:
      first = {"kernel": layers.incoming, "bias": layers.bias}
      second = {"kernel": layers.outgoing, "bias": layers.output_bias}
      return self.spec.flatten(dict(zip(self._names, (first, second))))

    return jax.vmap(one)(layers)

  @functools.cached_property
  def _names(self) -> list[str]:
    return list(self.spec.unflatten(jnp.zeros(self.spec.size)))

  def encode(
    self, target: Float[Array, "net parameter"], theta: Float[Array, "net parameter"], told: Known
  ) -> Float[Array, "net number"]:
    """Target and start networks -> x_0, as far as it can be said."""
    between = jax.vmap(functools.partial(graph.change_between, told.discriminants))
    change = between(self.layers(theta), self.layers(target))
    return jax.vmap(graph.flatten)(jax.tree.map(lambda x, size: x / size[None], change, self.scale))

  def decode(
    self, x0: Float[Array, "net number"], theta: Float[Array, "net parameter"], told: Known
  ) -> Float[Array, "net parameter"]:
    """x_0 and the start network -> target network."""
    start = self.layers(theta)
    change = jax.tree.map(lambda x, size: x * size[None], self._graphs(x0, *start.outgoing.shape[1:]), self.scale)
    return self._flat(jax.vmap(functools.partial(graph.applied, told.discriminants))(start, change))

  def _graphs(self, numbers: Float[Array, "net number"], units: int, classes: int) -> Graph:
    return jax.vmap(lambda row: graph.unflatten(row, units, classes))(numbers)

  def _model(self, weights: PyTree, theta, start_metric, prompt, told: Known) -> objective.Denoiser:
    """x_0 as a function of the noised vector and the timestep alone."""
    start = self.layers(theta)
    conditions = self.metric.coordinate(start_metric), self.metric.coordinate(prompt)
    graphs = functools.partial(self._graphs, units=start.outgoing.shape[1], classes=start.outgoing.shape[2])
    signal, noise = (jnp.asarray(x, jnp.float32) for x in (self.schedule.alpha_bar, 1.0 - self.schedule.alpha_bar))

    def model(xt: Float[Array, "net number"], timestep: Float[Array, "net"]) -> Float[Array, "net number"]:
      step = timestep.astype(jnp.int32)
      total = signal[step] * DIFFUSED_STD**2 + noise[step]
      guess = (jnp.sqrt(signal[step]) * DIFFUSED_STD**2 / total)[:, None] * xt
      error = DIFFUSED_STD * jnp.sqrt(noise[step] / total)
      place = timestep / len(self.schedule.timestep)
      x0: Any = self.module.apply(weights, graphs(xt), graphs(guess), error, start, place, *conditions, told)
      return jax.vmap(graph.flatten)(x0)

    return model

  def denoising_loss(
    self, weights: PyTree, pairs: Pairs, key: Array, told: Known
  ) -> tuple[Float[Array, "pair"], Float[Array, "pair parameter"]]:
    """The loss of each pair of one data set, in units of the linear guess's, and the target as it is estimated."""
    step_key, noise_key = jax.random.split(key)
    x0 = self.encode(pairs.target, pairs.start, told)
    steps = objective.random_steps(step_key, self.schedule, x0.shape[0])
    noise = jax.random.normal(noise_key, x0.shape, x0.dtype)
    model = self._model(weights, pairs.start, pairs.start_metric, pairs.target_metric, told)
    loss, output = objective.denoising_loss(model, self.schedule, "x0", x0, steps, noise)
    least = linear_error(self.schedule, jnp.full(1, DIFFUSED_STD))
    return loss / least[steps], self.decode(output, pairs.start, told)

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
  ) -> Float[Array, "net parameter"]:
    """One sample for each network, all for one data set."""
    model, start = self._model(weights, theta, start_metric, prompt, told), config.temperature * noise
    x0 = samplers.sample(config.sampler, model, self.schedule, config.steps, start, key, config.stop)
    return self.decode(x0, theta, told)


def scale_of(changes: Graph) -> Graph:
  """What brings each kind of number of many changes to DIFFUSED_STD, shared by units and by classes."""

  def size(x: Any, kept: int) -> Float[np.ndarray, "..."]:
    axes = tuple(range(x.ndim - kept))
    return np.sqrt(np.mean(np.square(x), axis=axes, keepdims=True)[0]) / DIFFUSED_STD

  sizes = size(changes.edge, 1), size(changes.unit, 1), size(changes.output, 0)
  return Graph(*(jnp.maximum(jnp.asarray(x, jnp.float32), 1e-8) for x in sizes))
