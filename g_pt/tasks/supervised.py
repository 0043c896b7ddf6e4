"""Training a group of networks at once on one stream of minibatches.

The runs of a group share the order of their minibatches. Their parameters are
stacked along a last axis, see g_pt.tasks.stacked, so that the first layer of
the whole group is one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree
import optax

from g_pt.errors import ConfigError
from g_pt.parameters import ParameterSpec
from g_pt.tasks.base import RunGroup, Task

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adamw", "rmsprop")


@dataclasses.dataclass(frozen=True)
class SupervisedRecipe:
  """One run of minibatch descent; the defaults are those of Peebles et al. 2022 for MNIST."""

  epochs: int = 25
  batch_size: int = 128  # a last, smaller batch of an epoch is left out
  optimizer: str = "nesterov"  # one of OPTIMIZERS
  learning_rate: float = 0.1
  momentum: float = 0.9
  weight_decay: float = 5e-4  # on every parameter
  schedule: str = "cosine"  # to 0, a step an epoch; or "constant"
  test_examples: int = 0  # the first ones, on which each checkpoint is measured; 0: all
  train_examples: int = 0  # likewise of the training set

  def __post_init__(self):
    if self.optimizer not in OPTIMIZERS:
      raise ValueError(f"corpus.recipe.optimizer: unknown {self.optimizer!r}; it is one of: {', '.join(OPTIMIZERS)}")
    for name in ("epochs", "batch_size"):
      if getattr(self, name) < 1:
        raise ValueError(f"corpus.recipe.{name}: {getattr(self, name)} is less than 1")
    for name in ("test_examples", "train_examples"):
      if getattr(self, name) < 0:
        raise ValueError(f"corpus.recipe.{name}: {getattr(self, name)} is less than 0")
    if self.schedule not in ("cosine", "constant"):
      raise ValueError(f"corpus.recipe.schedule: unknown {self.schedule!r}; it is cosine or constant")

  def measured(self, data: Any) -> Any:
    """The part of the data that checkpoints are measured on."""
    return data._replace(train=data.train.first(self.train_examples), test=data.test.first(self.test_examples))

  def steps(self, data: Any) -> int:
    """Number of optimizer steps of one run."""
    return self.epochs * self.steps_per_epoch(data)

  def steps_per_epoch(self, data: Any) -> int:
    examples = data.train.labels.shape[0]
    if examples < self.batch_size:
      raise ConfigError(f"corpus.recipe.batch_size: {self.batch_size} is more than the {examples} training examples")
    return examples // self.batch_size


def direction(recipe: SupervisedRecipe) -> optax.GradientTransformation:
  """The optimizer but for its learning rate: gradients -> the step to scale by -learning rate.

  The rules are PyTorch's: weight decay joins the gradient, except for AdamW, where it is decoupled.
  """
  decay = optax.add_decayed_weights(recipe.weight_decay)
  match recipe.optimizer:
    case "sgd":
      return decay
    case "momentum" | "nesterov":
      return optax.chain(decay, optax.trace(recipe.momentum, nesterov=recipe.optimizer == "nesterov"))
    case "adamw":
      return optax.chain(optax.scale_by_adam(), decay)
    case "rmsprop":
      return optax.chain(decay, optax.scale_by_rms(decay=0.99, eps_in_sqrt=False))
  raise AssertionError(recipe.optimizer)


def rule(recipe: SupervisedRecipe) -> tuple[Callable[[PyTree], PyTree], Callable[..., tuple[PyTree, PyTree]]]:
  """How a run descends: parameters -> state, and (parameters, state, gradients, rates) -> (parameters, state)."""
  optimizer = direction(recipe)

  def step(parameters, state, gradients, rates):
    updates, state = optimizer.update(gradients, state, parameters)
    return jax.tree.map(lambda p, update, rate: p - rate * update, parameters, updates, rates), state

  if recipe.optimizer not in ("momentum", "nesterov"):
    return optimizer.init, step
  momentum, decay = recipe.momentum, recipe.weight_decay

  # The same as `step`, written so that XLA passes over memory twice: otherwise it writes the decayed gradient, too.
  def step_with_velocity(parameters, velocity, gradients, rates):
    velocity = jax.tree.map(lambda p, v, g: momentum * v + (g + decay * p), parameters, velocity, gradients)
    if recipe.optimizer == "momentum":
      return jax.tree.map(lambda p, v, rate: p - rate * v, parameters, velocity, rates), velocity
    return jax.tree.map(
      lambda p, v, g, rate: p * (1 - rate * decay) - rate * (g + momentum * v), parameters, velocity, gradients, rates
    ), velocity

  return functools.partial(jax.tree.map, jnp.zeros_like), step_with_velocity


def run_axes(spec: ParameterSpec) -> PyTree[int]:
  """Where the run axis lies in each stacked parameter: the last, see g_pt.tasks.stacked."""
  return jax.tree_util.tree_unflatten(spec.treedef, [len(shape) for shape in spec.shapes])


def evaluate_group(task: Task, theta: Float[Array, "run parameter"], data: Any) -> dict[str, Float[Array, "run"]]:
  """`task.evaluate` for many networks, laid out like a training group."""
  axes = run_axes(task.spec)
  stacked = jax.vmap(task.spec.unflatten, out_axes=axes)(theta)
  return jax.vmap(task.evaluate, in_axes=(axes, None))(stacked, data)


def measured_group(task: Task, recipe: Any, data: Any, theta: Float[Array, "checkpoint run parameter"]) -> RunGroup:
  """A group of trained runs with every number of each checkpoint, on the part of the data that the recipe names."""
  measured = recipe.measured(data)
  metrics = lax.map(lambda group: evaluate_group(task, group, measured), theta)
  return RunGroup(jnp.swapaxes(theta, 0, 1), {name: value.T for name, value in metrics.items()})


def shuffled(key: Array, count: int) -> Int[Array, "{count}"]:
  """0 to count - 1 in random order.

  Single numbers are sorted, random bits above and the position below: as pairs,
  like in `jax.random.permutation`, XLA sorts them eight times slower on a CPU.
  What ties there are for lack of bits, a second round parts.
  """
  position = jnp.arange(count, dtype=jnp.uint32)
  below = jnp.uint32((1 << (count - 1).bit_length()) - 1)
  order = position
  for part in jax.random.split(key):
    keys = jax.random.bits(part, (count,)) & ~below | position
    order = order[lax.sort(keys, is_stable=False) & below]
  return order.astype(jnp.int32)


def minibatch_order(key: Array, examples: int, recipe: SupervisedRecipe) -> Int[Array, "step example"]:
  """Indices of every minibatch of a run: each epoch a new permutation of the training set."""
  per_epoch = examples // recipe.batch_size

  def epoch(key):
    order = shuffled(key, examples)[: per_epoch * recipe.batch_size]
    return order.reshape(per_epoch, recipe.batch_size)

  return lax.map(epoch, jax.random.split(key, recipe.epochs)).reshape(-1, recipe.batch_size)


def _along(vector: Float[Array, "run"], axis: int, rank: int) -> Float[Array, "..."]:
  """The vector along one axis of an array of that rank."""
  return vector.reshape([-1 if i == axis else 1 for i in range(rank)])


def train_runs(
  task: Task,
  recipe: SupervisedRecipe,
  data: Any,
  initial: Float[Array, "run parameter"],
  learning_rate: Float[Array, "run"],
  key: Array,
  saved: Int[Array, "checkpoint"],
) -> Float[Array, "checkpoint run parameter"]:
  """Trains a group of runs from `initial` and keeps the parameters after the `saved` steps.

  `saved` rises and begins with 0, the initial parameters. Pure and jittable
  (task and recipe static); a run depends on its initial parameters, its
  learning rate and the group's key alone.
  """
  axes = run_axes(task.spec)
  order_key, batch_key = jax.random.split(key)
  order = minibatch_order(order_key, data.train.labels.shape[0], recipe)
  per_epoch = recipe.steps_per_epoch(data)
  init, descend = rule(recipe)
  group_loss = task.group_loss or jax.vmap(task.loss, in_axes=(axes, None))

  def total_loss(stacked, batch):
    return jnp.sum(group_loss(stacked, batch))

  def step(i, state):
    stacked, optimizer_state = state
    batch = task.batch(data, order[i], jax.random.fold_in(batch_key, i))
    gradients = jax.grad(total_loss)(stacked, batch)
    decay = 0.5 * (1 + jnp.cos(jnp.pi * (i // per_epoch) / recipe.epochs)) if recipe.schedule == "cosine" else 1.0
    rates = jax.tree.map(lambda p, axis: _along(learning_rate * decay, axis, p.ndim), stacked, axes)
    return descend(stacked, optimizer_state, gradients, rates)

  def segment(state, bounds):
    state = lax.fori_loop(bounds[0], bounds[1], step, state)
    return state, jax.vmap(task.spec.flatten, in_axes=(axes,))(state[0])

  stacked = jax.vmap(task.spec.unflatten, out_axes=axes)(initial)
  bounds = jnp.stack([jnp.concatenate([jnp.zeros(1, saved.dtype), saved[:-1]]), saved], axis=1)
  return lax.scan(segment, (stacked, init(stacked)), bounds)[1]


def train_group(
  task: Task,
  recipe: SupervisedRecipe,
  data: Any,
  initial: Float[Array, "run parameter"],
  learning_rate: Float[Array, "run"],
  key: Array,
  saved: Int[Array, "checkpoint"],
) -> RunGroup:
  """The runs of `train_runs`, measured at each checkpoint on the examples that the recipe names."""
  return measured_group(task, recipe, data, train_runs(task, recipe, data, initial, learning_rate, key, saved))
