"""A trained G.pt as one object: networks and a prompt in, trained networks out. It knows nothing of files."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
from typing import Any
import warnings

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree
import numpy as np

from g_pt import tasks
from g_pt.chunks import in_chunks, measured_at_once, updated_at_once
from g_pt.corpus.statistics import Statistics
from g_pt.description import Description
from g_pt.errors import UserError
from g_pt.family_generator import FamilyGenerator
from g_pt.generator import Generator, SampleConfig
from g_pt.generator import build as build_generator
from g_pt.keys import fold
from g_pt.parameters import Arrangement, Parameters
from g_pt.tasks import population
from g_pt.tasks.base import Decisions, Metric, Recipe, Task


@dataclasses.dataclass(frozen=True, eq=False)
class GPT:
  """A generator with its task, weights and defaults."""

  task: Task
  metric_name: str
  recipe: Recipe
  generator: Generator | FamilyGenerator
  weights: PyTree
  statistics: Statistics
  config: SampleConfig
  load_data: Callable[[], Any]  # the task's, asked for once something is measured
  told: tuple[PyTree, ...] = ()  # what a generator for many data sets is told of this one

  @property
  def metric(self) -> Metric:
    return self.task.metric(self.metric_name)

  def init(self, key: Array) -> Parameters:
    """One untrained network of the task."""
    return self.task.network.init(key)

  def with_config(self, config: SampleConfig) -> GPT:
    """The same, sampled otherwise."""
    return dataclasses.replace(self, config=config)

  def measure(self, parameters: Parameters, part: str = "recorded") -> Float[Array, "*net"]:
    """The metric of one network's pytree, or of each of a stacked batch."""
    return self.measure_all(parameters, part)[self.metric_name]

  def measure_all(self, parameters: Parameters, part: str = "recorded") -> dict[str, Float[Array, "*net"]]:
    """Every number that the task gives on a part of its data: `recorded`, as in the corpus, or held out: `final`."""
    theta, single = self._flatten(parameters)
    values = self.evaluate(theta, part)
    return {name: value[0] for name, value in values.items()} if single else values

  def evaluate(self, theta: Float[Array, "net parameter"], part: str = "recorded") -> dict[str, Float[Array, "net"]]:
    """`measure_all` of flat vectors, in chunks."""
    judged, compiled = self._judged(part), _evaluating(self.task)
    return in_chunks(lambda rows: compiled(rows, judged), measured_at_once(), theta)

  def ensemble(self, theta: Float[Array, "net parameter"], part: str = "recorded") -> dict[str, Float[Array, ""]]:
    """Every number of all flat networks as one, by the mean of their probabilities."""
    return self._ensemble(theta, self._judged(part))

  def decisions(self, theta: Float[Array, "net parameter"], part: str = "recorded") -> Decisions:
    """What flat networks choose on the inputs of a part."""
    return self._decisions(theta, self._judged(part))

  def sample(
    self,
    parameters: Parameters,
    prompt: Any,
    *,
    key: Array,
    num_samples: int = 1,
    steps: int | None = None,
    metric: Any = None,
  ) -> Parameters:
    """Updates one network, or each of a stacked batch, in one sample of the model.

    Args:
      parameters: one network's pytree, or a batch of them stacked on axis 0.
      prompt: the metric to ask for; one number, or one a network. Beyond what was learned it is clipped, with a
        warning; a start with longer parameter arrays than any that was learned is shortened, with one, too.
      key: a JAX random key.
      num_samples: independent samples for each network; more than 1 adds an axis
        of samples after that of networks.
      steps: evaluations of the model a sample; None: as configured.
      metric: the networks' own metric; None: measured, which needs the task's data.

    Returns:
      Updated pytrees, with the axes [net, sample] of the arguments in front.

    Raises:
      UserError: a prompt or metric that is not finite, steps that the diffusion has not, parameters of other shapes.
    """
    theta, single = self._flatten(parameters)
    networks = theta.shape[0]
    prompts = self._checked("prompt", prompt, networks)
    self._warn_clipped(prompts)
    self._warn_shortened(theta)
    own = self.evaluate(theta)[self.metric_name] if metric is None else self._checked("metric", metric, networks)
    if num_samples < 1:
      raise UserError(f"num_samples: {num_samples} is less than 1")
    most = len(self.generator.schedule.timestep)
    if steps is not None and not 1 <= steps <= most:
      raise UserError(f"steps: {steps} is not between 1 and the {most} of the diffusion")
    config = self.config if steps is None else dataclasses.replace(self.config, steps=steps)
    rows = [jnp.repeat(jnp.asarray(x), num_samples, axis=0) for x in (theta, own, prompts)]
    updated = self.update(rows[0], rows[1], rows[2], key, config)
    leading = (() if single else (networks,)) + ((num_samples,) if num_samples > 1 else ())
    tree = jax.vmap(self.task.spec.unflatten)(updated)
    return jax.tree.map(lambda x: x.reshape(*leading, *x.shape[1:]), tree)

  def update(
    self,
    theta,
    start_metric,
    prompt,
    key: Array,
    config: SampleConfig | None = None,
    weights: PyTree = None,
    noise: Array | None = None,
  ) -> Float[Array, "net parameter"]:
    """Flat vectors [net, parameter], metrics [net], prompts [net] -> updated vectors, in chunks.

    `weights` other than its own share what is compiled. `noise`, as `noise` draws
    it, is what samples begin from; None: drawn by `key`.
    """
    weights = self.weights if weights is None else weights
    noise_key, step_key = jax.random.split(key)
    noise = self.noise(noise_key, len(theta)) if noise is None else noise
    compiled = _updating(self.generator, config or self.config)

    def update(theta, start_metric, prompt, noise, number):
      # Of a sampler that adds noise on the way, each chunk has its own.
      return compiled(weights, theta, start_metric, prompt, fold(step_key, number[0]), noise, *self.told)

    return in_chunks(update, updated_at_once(), theta, start_metric, prompt, noise, jnp.arange(len(theta)))

  def noise(self, key: Array, count: int) -> Float[Array, "net reduced"]:
    """What that many samples begin from."""
    return jax.random.normal(key, (count, self.generator.size))

  def _flatten(self, parameters: Parameters) -> tuple[Float[Array, "net parameter"], bool]:
    spec = self.task.spec
    shapes = tuple(np.shape(leaf) for leaf in jax.tree.leaves(parameters))
    if shapes == spec.shapes:
      return spec.flatten(parameters)[None], True
    if len({shape[:1] for shape in shapes}) == 1 and tuple(shape[1:] for shape in shapes) == spec.shapes:
      return jax.vmap(spec.flatten)(parameters), False
    wanted = dict(zip(spec.names, spec.shapes))
    raise UserError(f"parameters: a network of {wanted} (or a stack of such) is needed, not {shapes}")

  def _checked(self, name: str, value: Any, networks: int) -> np.ndarray:
    try:
      values = np.asarray(value, np.float32)
    except (TypeError, ValueError):
      raise UserError(f"{name}: {value!r} is not a number or an array of them") from None
    if values.ndim > 1 or values.shape not in ((), (networks,)):
      raise UserError(f"{name}: one number or one for each of {networks} networks is needed, not shape {values.shape}")
    if not np.isfinite(values).all():
      raise UserError(f"{name}: {value} is not finite")
    return np.broadcast_to(values, (networks,))

  def _warn_clipped(self, prompts: np.ndarray) -> None:
    learned = self.statistics.prompt_range
    if learned is None or np.all((prompts >= np.float32(learned.low)) & (prompts <= np.float32(learned.high))):
      return
    given = f"{prompts.min():.4g}" + (f" to {prompts.max():.4g}" if prompts.min() < prompts.max() else "")
    warnings.warn(
      f"prompt {given}: {self.metric_name} was learned from {learned.low:.4g} to {learned.high:.4g}; "
      "what lies outside is clipped to that range",
      stacklevel=3,
    )

  def _warn_shortened(self, theta: Float[Array, "net parameter"]) -> None:
    learned = self.statistics.start_range
    if learned is None:
      return
    longest = {name: float(size.max()) for name, size in self.task.spec.rms(theta).items()}
    long = [f"{n} ({size:.3g} for {learned.size[n]:.3g})" for n, size in longest.items() if size > learned.size[n]]
    if long:
      warnings.warn(
        f"parameters: longer by RMS than any start that was learned: {', '.join(long)}; they are shortened to that",
        stacklevel=3,
      )

  @functools.cached_property
  def data(self) -> Any:
    """The task's data on the host, loaded once."""
    return self.load_data()

  @functools.cached_property
  def _judged(self) -> Callable[[str], Any]:
    @functools.cache
    def judged(part: str):
      if part not in self.task.measurement.parts:
        raise UserError(f"part: unknown {part!r}; it is one of: {', '.join(self.task.measurement.parts)}")
      return jax.device_put(self.task.measurement.part(self.data, self.recipe, part))

    return judged

  @functools.cached_property
  def _ensemble(self) -> Callable[[Array, Any], dict[str, Array]]:
    task = self.task
    return jax.jit(lambda theta, judged: task.measurement.ensemble(population.stack(task.spec, theta), judged))

  @functools.cached_property
  def _decisions(self) -> Callable[[Array, Any], Decisions]:
    task = self.task
    return jax.jit(lambda theta, judged: task.measurement.decisions(population.stack(task.spec, theta), judged))


# Programs are shared by all objects of one task or one generator, whichever data set or weights they are for.
@functools.lru_cache
def _evaluating(task: Task) -> Callable[[Array, Any], dict[str, Array]]:
  return jax.jit(functools.partial(population.evaluate, task))


@functools.lru_cache
def _updating(generator: Generator | FamilyGenerator, config: SampleConfig) -> Callable[..., Array]:
  return jax.jit(functools.partial(generator.update, config))


def build(
  description: Description,
  statistics: Statistics,
  load_data: Callable[[], Any],
  arrangement: Arrangement | None = None,
) -> GPT:
  """The G.pt of a description, without weights yet: `update` takes those of a training that goes on.

  `arrangement` is that of the vectors which the weights are for; None: the spec's.
  """
  task = tasks.get(description.task)
  generator = build_generator(
    task.spec, task.metric(description.metric), description.model, description.diffusion, statistics, arrangement
  )
  return GPT(task, description.metric, description.recipe, generator, None, statistics, description.sample, load_data)
