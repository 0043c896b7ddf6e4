"""G.pt itself: a model of networks, the diffusion around it, and its change of units.

theta, metric, prompt --units--> x_T .. denoise .. x_0 --units--> theta*
"""

from __future__ import annotations

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree
import numpy as np

from g_pt import models
from g_pt.corpus.pairs import Pairs
from g_pt.corpus.statistics import PromptRange, StartRange, Statistics
from g_pt.diffusion import objective, samplers, schedule
from g_pt.diffusion.preconditioning import linear_error, preconditioned
from g_pt.fields import Settings, limited
from g_pt.parameters import Arrangement, ParameterSpec
from g_pt.parameters.units import VARIABLES, Units, make_units
from g_pt.tasks.base import Metric

_NO_SIZE = "diffusion.precondition: the corpus's statistics lack the size of updates"


@dataclasses.dataclass(frozen=True)
class DiffusionConfig(Settings):
  timesteps: int = limited(1000, least=1)
  schedule: str = limited("linear", choices=schedule.SCHEDULES)
  variable: str = limited("parameters", choices=VARIABLES)  # what is diffused
  directions: int = limited(0, least=0)  # principal ones of a unit's incoming weights, for an update; 0: all
  # That the variable is multiplied by; 0: each array to a standard deviation of 0.538.
  scale: float = limited(0.0, least=0)
  precondition: bool = False  # whether the model adds to the best linear guess of x0
  prediction: str = limited("x0", choices=objective.PREDICTIONS)

  def check(self) -> None:
    if self.directions and self.variable != "update":
      raise ValueError(f"directions: {self.directions}, but only of variable=update")
    if self.precondition and self.prediction != "x0":
      raise ValueError(f"precondition: for prediction=x0 alone, not {self.prediction}")


@dataclasses.dataclass(frozen=True)
class SampleConfig(Settings):
  sampler: str = limited("ddim", choices=samplers.SAMPLERS)
  steps: int = limited(10, least=1)  # evaluations of the model for one sample
  temperature: float = limited(1.0, least=0)  # scale of the first noise; less than 1: less varied, more exact
  stop: float = limited(0.0, least=0, below=1)  # the fraction of timesteps nearest the data that is skipped


@dataclasses.dataclass(frozen=True, eq=False)
class Generator:
  """Pure functions of the model's weights; what `build` makes of settings and a corpus's statistics."""

  metric: Metric
  module: nn.Module
  smooth_scalars: bool
  units: Units
  schedule: schedule.Schedule
  prediction: str
  precondition: bool = False
  prompt_range: PromptRange | None = None  # prompts outside this range are clipped to it
  start_range: StartRange | None = None  # starts outside this range are brought to its bounds, when sampling
  # Where the model's vectors are in another arrangement than the spec's, they are `theta[arrangement]`.
  arrangement: Int[np.ndarray, "parameter"] | None = None

  def init(self, key: Array) -> PyTree:
    """Random weights of the model."""
    vector, scalar = jnp.zeros((1, self.units.spec.size)), jnp.zeros((1,))
    return self.module.init(key, vector, vector, scalar, scalar, scalar)

  @property
  def size(self) -> int:
    """Numbers that are diffused."""
    return self.units.spec.size

  @property
  def sigma_data(self) -> Float[Array, "reduced"]:
    """What preconditioning scales by; ValueError where it is unknown."""
    if self.units.size is None:
      raise ValueError(_NO_SIZE)
    return self.units.size

  def place(self, prompt: Float[Array, "net"]) -> Float[Array, "net"]:
    """Where in the range of prompts each is, on the metric's scale: 0 the best, 1 the worst; without a range, 1."""
    if self.prompt_range is None:
      return jnp.ones_like(prompt)
    ends = self.metric.coordinate(jnp.asarray(self.prompt_range))
    best, worst = ends[::-1] if self.metric.higher_is_better else ends
    return jnp.clip((self.metric.coordinate(prompt) - best) / (worst - best), 0.0, 1.0)

  def _model(self, weights: PyTree, theta, start_metric, prompt) -> objective.Denoiser:
    """The model's output as a function of the noised vector and the timestep alone."""
    if self.prompt_range is not None:
      prompt = jnp.clip(prompt, self.prompt_range.low, self.prompt_range.high)
    if self.smooth_scalars:
      start_metric, prompt = self.metric.coordinate(start_metric), self.metric.coordinate(prompt)
    time_unit = len(self.schedule.timestep) if self.smooth_scalars else 1.0
    start = self.units.start(theta)
    there = np.s_[:] if self.arrangement is None else self.arrangement
    back = np.s_[:] if self.arrangement is None else np.argsort(self.arrangement)

    def model(xt, timestep):
      inputs = xt[:, there], start[:, there], timestep / time_unit, start_metric, prompt
      return jnp.asarray(self.module.apply(weights, *inputs))[:, back]

    if not self.precondition:
      return model
    return preconditioned(model, self.schedule, self.sigma_data, start if self.units.residual else 0.0)

  def denoising_loss(
    self, weights: PyTree, pairs: Pairs, key: Array
  ) -> tuple[Float[Array, "pair"], Float[Array, "pair parameter"]]:
    """The loss of each pair, at a random timestep and noise, and the target network as the model estimates it.

    With preconditioning each error is in units of the linear guess's at that
    timestep. Where the model predicts noise, the second is not a network.
    """
    step_key, noise_key = jax.random.split(key)
    x0 = self.units.encode(pairs.target, pairs.start)
    steps = objective.random_steps(step_key, self.schedule, x0.shape[0])
    noise = jax.random.normal(noise_key, x0.shape, x0.dtype)
    model = self._model(weights, pairs.start, pairs.start_metric, pairs.target_metric)
    loss, output = objective.denoising_loss(model, self.schedule, self.prediction, x0, steps, noise)
    if self.precondition:
      loss = loss / linear_error(self.schedule, self.sigma_data)[steps]
    return loss, self.units.decode(output, pairs.start)

  def update(
    self,
    config: SampleConfig,
    weights: PyTree,
    theta: Float[Array, "net parameter"],
    start_metric: Float[Array, "net"],
    prompt: Float[Array, "net"],
    key: Array,
    noise: Float[Array, "net reduced"],
  ) -> Float[Array, "net parameter"]:
    """One sample of p(theta* | theta, metric, prompt) for each network.

    `noise` is the normal noise that samples begin from, once it is multiplied
    by the temperature; `key` is for samplers that add more on the way.
    """
    theta, start_metric = self._within(theta, start_metric)
    model = self._model(weights, theta, start_metric, prompt)

    def of_noise(xt, timestep):
      # Of the sampler's steps, each has its own alpha_bar; look it up by the timestep.
      return objective.x0_of_noise(self.schedule, timestep.astype(jnp.int32), xt, model(xt, timestep))

    denoise = model if self.prediction == "x0" else of_noise
    x_t = config.temperature * noise
    x0 = samplers.sample(config.sampler, denoise, self.schedule, config.steps, x_t, key, config.stop)
    return self.units.decode(x0, theta)

  def _within(
    self, theta: Float[Array, "net parameter"], start_metric: Float[Array, "net"]
  ) -> tuple[Float[Array, "net parameter"], Float[Array, "net"]]:
    """Starts, no parameter array of which is longer than any that was learned, and their metrics clipped alike."""
    if self.start_range is None:
      return theta, start_metric
    low, high, longest = self.start_range
    return self.units.reduction.spec.shortened(theta, longest), jnp.clip(start_metric, low, high)


def build(
  spec: ParameterSpec,
  metric: Metric,
  model: Settings,
  diffusion: DiffusionConfig,
  statistics: Statistics,
  arrangement: Arrangement | None = None,
) -> Generator:
  """The generator of networks of `spec`; `model` is one of the architectures' configurations.

  `arrangement` is that of the vectors which the model's weights are for; None: the spec's.
  """
  architecture = models.of_config(model)
  if statistics.units is None:
    raise ValueError("statistics: units are needed")
  units = make_units(diffusion.variable, spec, statistics.units, diffusion.scale)
  residual = units.residual and diffusion.prediction == "x0" and not diffusion.precondition
  vectors = units.spec if arrangement is None else spec.arranged(arrangement)
  if diffusion.precondition and units.size is None:
    raise ValueError(_NO_SIZE)
  return Generator(
    metric=metric,
    module=architecture.module(vectors, model, residual),
    smooth_scalars=architecture.smooth_scalars,
    units=units,
    schedule=schedule.make_schedule(diffusion.schedule, diffusion.timesteps),
    prediction=diffusion.prediction,
    precondition=diffusion.precondition,
    prompt_range=statistics.prompt_range,
    start_range=statistics.start_range,
    arrangement=None if arrangement is None else spec.arrangement_index(arrangement),
  )
