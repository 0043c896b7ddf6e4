"""A trained G.pt as one object: networks and a prompt in, trained networks out."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
from pathlib import Path
from typing import Any
import warnings

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree
import numpy as np

from g_pt import config as config_lib
from g_pt import tasks, workdir
from g_pt.checkpointing import Checkpoints
from g_pt.corpus.prepare import Statistics
from g_pt.errors import UserError
from g_pt.generator import Generator, SampleConfig, build
from g_pt.parameters import Parameters
from g_pt.tasks.base import Metric, Task
from g_pt.tasks.supervised import evaluate_group


@dataclasses.dataclass(frozen=True, eq=False)
class GPT:
  """What `load` gives: a trained generator with its task, weights and defaults."""

  task: Task
  metric_name: str
  generator: Generator
  weights: PyTree
  statistics: Statistics
  config: SampleConfig
  data: Any  # of the task, on the device: what networks are measured on

  @property
  def metric(self) -> Metric:
    return self.task.metric(self.metric_name)

  def with_weights(self, weights: PyTree) -> GPT:
    """The same with other weights; what is compiled is shared."""
    other = dataclasses.replace(self, weights=weights)
    other.__dict__.update(_measure=self._measure, _update=self._update)
    return other

  def measure(self, parameters: Parameters) -> Float[Array, "*net"]:
    """The metric of one network's pytree, or of each of a stacked batch."""
    return self.measure_all(parameters)[self.metric_name]

  def measure_all(self, parameters: Parameters) -> dict[str, Float[Array, "*net"]]:
    """Every number that the task records."""
    theta, single = self._flatten(parameters)
    values = self._measure(theta, self.data)
    return {name: value[0] for name, value in values.items()} if single else values

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
      prompt: the metric to ask for; one number, or one a network.
      key: a JAX random key.
      num_samples: independent samples for each network; more than 1 adds an axis
        of samples after that of networks.
      steps: evaluations of the model a sample; None: as configured.
      metric: the networks' own metric; None: measured.

    Returns:
      Updated pytrees, with the axes [net, sample] of the arguments in front.

    Raises:
      UserError: a prompt or metric that is not finite, or parameters of other shapes.
    """
    theta, single = self._flatten(parameters)
    networks = theta.shape[0]
    prompts = self._checked("prompt", prompt, networks)
    self._warn_outside(prompts)
    start_metric = (
      self._measure(theta, self.data)[self.metric_name] if metric is None else self._checked("metric", metric, networks)
    )
    if num_samples < 1:
      raise UserError(f"num_samples: {num_samples} is less than 1")
    config = self.config if steps is None else dataclasses.replace(self.config, steps=steps)
    rows = (jnp.repeat(jnp.asarray(x), num_samples, axis=0) for x in (theta, start_metric, prompts))
    updated = self.update(*rows, key, config)
    leading = (() if single else (networks,)) + ((num_samples,) if num_samples > 1 else ())
    tree = jax.vmap(self.task.spec.unflatten)(updated)
    return jax.tree.map(lambda x: x.reshape(*leading, *x.shape[1:]), tree)

  def update(self, theta, start_metric, prompt, key: Array, config: SampleConfig | None = None):
    """Flat vectors [net, parameter], metrics [net], prompts [net] -> updated vectors; compiled once a shape."""
    return self._update(config or self.config)(self.weights, theta, start_metric, prompt, key)

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
    values = np.asarray(value, np.float32)
    if values.ndim > 1 or values.shape not in ((), (networks,)):
      raise UserError(f"{name}: one number or one for each of {networks} networks is needed, not shape {values.shape}")
    if not np.isfinite(values).all():
      raise UserError(f"{name}: {value} is not finite")
    return np.broadcast_to(values, (networks,))

  def _warn_outside(self, prompts: np.ndarray) -> None:
    low, high = self.statistics.metric_lowest, self.statistics.metric_highest
    if prompts.min() < low or prompts.max() > high:
      warnings.warn(
        f"prompt {prompts.min():.4g} to {prompts.max():.4g} reaches outside the {self.metric_name} that the corpus "
        f"covers, {low:.4g} to {high:.4g}; the model has seen no such network",
        stacklevel=3,
      )

  @functools.cached_property
  def _measure(self) -> Callable[[Array, Any], dict[str, Array]]:
    return jax.jit(functools.partial(evaluate_group, self.task))

  @functools.cached_property
  def _update(self) -> Callable[[SampleConfig], Any]:
    @functools.cache
    def compiled(config: SampleConfig):
      return jax.jit(
        lambda weights, theta, start_metric, prompt, key: self.generator.update(
          weights, theta, start_metric, prompt, key, config
        )
      )

    return compiled


def load(directory: str | Path, weights: bool = True) -> GPT:
  """The trained G.pt of a workdir, with the averaged weights of its last checkpoint.

  Without `weights` it has none yet: training gives it its own. Raises
  UserError, naming what is missing, where there is no trained model.
  """
  directory = Path(directory)
  trained = workdir.read_json(directory / workdir.TRAINED)
  if trained is None:
    raise UserError(f"{directory}: no trained G.pt here ({workdir.TRAINED} is missing); run --stage=train")
  experiment = config_lib.parse(config_lib.completed(trained["config"]))
  statistics = Statistics(**trained["statistics"])
  task = tasks.get(experiment.task)
  order = trained.get("order")  # only of weights that were made elsewhere
  if order is not None:
    order = tuple((name, tuple(axes)) for name, axes in order)
  generator = build(task, experiment.metric, experiment.model, experiment.diffusion, statistics, order)
  data = jax.device_put(experiment.recipe.measured(task.load(experiment.data_dir)))
  gpt = GPT(task, experiment.metric, generator, None, statistics, experiment.sample, data)
  return gpt.with_weights(_restored(generator, directory)) if weights else gpt


def _restored(generator: Generator, directory: Path) -> PyTree:
  """Averaged weights of the last checkpoint, on the first local device."""
  here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  shapes = jax.eval_shape(generator.init, jax.random.key(0))
  like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), shapes)
  with Checkpoints(directory / workdir.CHECKPOINTS, read_only=True) as checkpoints:
    return checkpoints.restore_average(like)
