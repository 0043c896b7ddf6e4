"""G.pt itself: a model of networks, the diffusion around it, and its change of units.

theta, metric, prompt --units--> x_T .. denoise .. x_0 --units--> theta*
"""

from __future__ import annotations

import dataclasses
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree
import numpy as np

from g_pt import models
from g_pt.behaviour import Behaviour
from g_pt.corpus.pairs import Pairs
from g_pt.corpus.prepare import Statistics
from g_pt.diffusion import objective, samplers, schedule, variable
from g_pt.diffusion.preconditioning import linear_error, preconditioned
from g_pt.parameters import Order, ParameterSpec
from g_pt.tasks.base import Metric, Task


@dataclasses.dataclass(frozen=True)
class DiffusionConfig:
  timesteps: int = 1000
  schedule: str = "linear"  # one of schedule.SCHEDULES
  variable: str = "parameters"  # what is diffused: one of variable.VARIABLES
  directions: int = 0  # principal ones of a unit's incoming weights, that an update is diffused along; 0: all
  scale: float = 0.0  # that the variable is multiplied by; 0: each layer to a standard deviation of 0.538
  precondition: bool = False  # whether the model adds to the best linear guess of x0
  prediction: str = "x0"  # one of objective.PREDICTIONS
  min_snr: float = 0.0  # gamma of min-SNR weights; 0: none
  # Weight in the loss of how differently the estimate and the target behave (g_pt.behaviour), and on how many inputs.
  behaviour: float = 0.0
  behaviour_inputs: int = 64

  def __post_init__(self):
    for name, known in (("schedule", schedule.SCHEDULES), ("variable", variable.VARIABLES)):
      if getattr(self, name) not in known:
        raise ValueError(f"diffusion.{name}: unknown {getattr(self, name)!r}; it is one of: {', '.join(known)}")
    if self.directions < 0 or self.directions and self.variable != "update":
      raise ValueError(f"diffusion.directions: {self.directions}, but only of an update, and not below 0")
    if self.precondition and self.prediction != "x0":
      raise ValueError(f"diffusion.precondition: for diffusion.prediction=x0 alone, not {self.prediction}")
    if self.behaviour and self.prediction != "x0":
      raise ValueError(f"diffusion.behaviour: for diffusion.prediction=x0 alone, not {self.prediction}")
    if self.behaviour < 0:
      raise ValueError(f"diffusion.behaviour: {self.behaviour} is less than 0")
    if self.behaviour_inputs < 1:
      raise ValueError(f"diffusion.behaviour_inputs: {self.behaviour_inputs} is less than 1")
    if self.scale < 0:
      raise ValueError(f"diffusion.scale: {self.scale} is less than 0")
    if self.timesteps < 1:
      raise ValueError(f"diffusion.timesteps: {self.timesteps} is less than 1")
    self.objective()

  def objective(self) -> objective.ObjectiveConfig:
    return objective.ObjectiveConfig(self.prediction, self.min_snr)


@dataclasses.dataclass(frozen=True)
class SampleConfig:
  sampler: str = "ddim"  # one of samplers.SAMPLERS
  steps: int = 10  # evaluations of the model for one sample
  temperature: float = 1.0  # scale of the first noise; less than 1: less varied, more exact
  stop: float = 0.0  # the part of the timesteps, those nearest to the data, that is left out

  def __post_init__(self):
    if self.sampler not in samplers.SAMPLERS:
      raise ValueError(f"sample.sampler: unknown {self.sampler!r}; it is one of: {', '.join(samplers.SAMPLERS)}")
    if self.steps < 1:
      raise ValueError(f"sample.steps: {self.steps} is less than 1")
    if not self.temperature >= 0:
      raise ValueError(f"sample.temperature: {self.temperature} is less than 0")
    if not 0 <= self.stop < 1:
      raise ValueError(f"sample.stop: {self.stop} is not at least 0 and less than 1")


@dataclasses.dataclass(frozen=True, eq=False)
class Generator:
  """Pure functions of the model's weights; what `build` makes of a configuration and a corpus."""

  spec: ParameterSpec
  metric: Metric
  module: nn.Module
  smooth_scalars: bool
  variable: variable.Variable
  schedule: schedule.Schedule
  objective: objective.ObjectiveConfig
  precondition: bool = False
  behaviour: Behaviour | None = None  # that the loss compares, too
  # With smooth scalars: prompts beyond it, where nothing was learned, are taken for its ends.
  prompt_range: list[float] | None = None
  # Where the model's vectors are not in the spec's order, they are `theta[order]`.
  order: Int[np.ndarray, "parameter"] | None = None

  def init(self, key: Array) -> PyTree:
    """Random weights of the model."""
    vector, scalar = jnp.zeros((1, self.variable.spec.size)), jnp.zeros((1,))
    return self.module.init(key, vector, vector, scalar, scalar, scalar)

  def _model(self, weights: PyTree, theta, start_metric, prompt) -> objective.Denoiser:
    """The model's output as a function of the noised vector and the timestep alone."""
    if self.smooth_scalars:
      if self.prompt_range is not None:
        prompt = jnp.clip(prompt, *self.prompt_range)
      start_metric, prompt = self.metric.coordinate(start_metric), self.metric.coordinate(prompt)
    time_unit = len(self.schedule.timestep) if self.smooth_scalars else 1.0
    start = self.variable.start(theta)
    order = slice(None) if self.order is None else self.order
    back = slice(None) if self.order is None else np.argsort(self.order)

    def model(xt, timestep):
      inputs = xt[:, order], start[:, order], timestep / time_unit, start_metric, prompt
      return self.module.apply(weights, *inputs)[:, back]

    if not self.precondition:
      return model
    return preconditioned(model, self.schedule, self.variable.size, start if self.variable.residual else 0.0)

  def loss(self, weights: PyTree, pairs: Pairs, key: Array, data: Any = None) -> Float[Array, ""]:
    """Mean denoising loss of a batch, with a random timestep and noise for each pair.

    With preconditioning each error is in units of the linear guess's at that
    timestep. Where behaviour counts, `data` is the task's.
    """
    step_key, noise_key = jax.random.split(key)
    x0 = self.variable.encode(pairs.target, pairs.start)
    steps = objective.random_steps(step_key, self.schedule, x0.shape[0])
    noise = jax.random.normal(noise_key, x0.shape, x0.dtype)
    model = self._model(weights, pairs.start, pairs.start_metric, pairs.target_metric)
    loss, estimate = objective.denoising_loss(model, self.schedule, self.objective, x0, steps, noise)
    if self.precondition:
      loss = loss / linear_error(self.schedule, self.variable.size)[steps]
    if self.behaviour is not None:
      estimate = self.variable.decode(estimate, pairs.start)
      loss = loss + self.behaviour.loss(pairs.target, estimate, data, jax.random.fold_in(key, _INPUTS))
    return jnp.mean(loss)

  def update(
    self,
    weights: PyTree,
    theta: Float[Array, "net parameter"],
    start_metric: Float[Array, "net"],
    prompt: Float[Array, "net"],
    key: Array,
    config: SampleConfig,
  ) -> Float[Array, "net parameter"]:
    """One sample of p(theta* | theta, metric, prompt) for each network."""
    model = self._model(weights, theta, start_metric, prompt)
    denoise = model
    if self.objective.prediction == "noise":
      # Of the sampler's steps, each has its own alpha_bar; look it up by the timestep.
      def denoise(xt, timestep):
        return objective.x0_of_noise(self.schedule, timestep.astype(jnp.int32), xt, model(xt, timestep))

    shape = (theta.shape[0], self.variable.spec.size)
    how = config.temperature, config.stop
    x0 = samplers.sample(config.sampler, denoise, self.schedule, config.steps, shape, key, *how)
    return self.variable.decode(x0, theta)


# Folded into a batch's key for the inputs on which behaviour is compared.
_INPUTS = 2


def build(
  task: Task,
  metric: str,
  model: object,
  diffusion: DiffusionConfig,
  statistics: Statistics,
  order: Order | None = None,
) -> Generator:
  """The generator of a task and metric; `model` is one of the architectures' configurations.

  `order` is that of the vectors which the model's weights are for; None: the spec's.
  """
  architecture = models.of_config(model)
  std = statistics.start_std, statistics.update_std
  if diffusion.scale:
    std = (dict.fromkeys(task.spec.names, variable.DIFFUSED_STD / diffusion.scale),) * 2
  units = variable.make_variable(diffusion.variable, task.spec, *std, statistics.directions, statistics.update_size)
  if diffusion.precondition and units.size is None:
    raise ValueError("diffusion.precondition: the corpus's statistics lack the size of updates")
  residual = units.residual and diffusion.prediction == "x0" and not diffusion.precondition
  return Generator(
    spec=task.spec,
    metric=task.metric(metric),
    module=architecture.module(units.spec if order is None else task.spec.ordered(order), model, residual),
    smooth_scalars=architecture.smooth_scalars,
    variable=units,
    schedule=schedule.make_schedule(diffusion.schedule, diffusion.timesteps),
    objective=diffusion.objective(),
    precondition=diffusion.precondition,
    behaviour=Behaviour(task, diffusion.behaviour, diffusion.behaviour_inputs) if diffusion.behaviour else None,
    prompt_range=statistics.prompt_range,
    order=None if order is None else task.spec.order_index(order),
  )
