"""Training a group of networks at once on one stream of minibatches.

The runs of a group share the order of their minibatches, so that the first
layer of the whole group is one matrix product, see g_pt.tasks.stacked.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import math
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num, PyTree
import numpy as np
import optax

from g_pt.errors import ConfigError
from g_pt.fields import Settings, limited
from g_pt.tasks import population, recipes
from g_pt.tasks.base import Network, Stacked
from g_pt.tasks.datasets import Examples, Images

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adamw", "rmsprop")


@dataclasses.dataclass(frozen=True)
class SupervisedRecipe(Settings):
  """One run of minibatch descent; the defaults are those of Peebles et al. 2022 for MNIST."""

  epochs: int = limited(25, least=1)
  batch_size: int = limited(128, least=1)  # a last, smaller batch of an epoch is left out
  examples: int | None = limited(None, least=1)  # of the training set, the first that a run learns from; None: all
  optimizer: str = limited("nesterov", choices=OPTIMIZERS)
  learning_rate: float = limited(0.1, above=0)
  momentum: float = limited(0.9, least=0)
  weight_decay: float = limited(5e-4, least=0)  # on every parameter
  # A cosine falls from epoch to epoch, a line at each step.
  schedule: str = limited("cosine", choices=recipes.SCHEDULES)
  # Whether images are changed at random, where a task says how, as CIFAR-10's crops and flips. None: where it does.
  augment: bool | None = None
  # The first recorded ones, on which each checkpoint is measured; 0: all.
  test_examples: int = limited(0, least=0)
  train_examples: int = limited(0, least=0)  # likewise of the training set

  def steps(self, data: Images) -> int:
    """Number of optimizer steps of one run."""
    return self.epochs * self.steps_per_epoch(data)

  def steps_per_epoch(self, data: Images) -> int:
    """Number of whole minibatches. Raises ConfigError where there is none."""
    examples = self.examples_learned(data)
    if examples < self.batch_size:
      raise ConfigError(f"corpus.recipe.batch_size: {self.batch_size} is more than the {examples} training examples")
    return examples // self.batch_size

  def examples_learned(self, data: Images) -> int:
    """Number of training examples. Raises ConfigError where there are fewer than asked for."""
    there = data.train.labels.shape[0]
    if self.examples is not None and self.examples > there:
      raise ConfigError(f"corpus.recipe.examples: {self.examples} is more than the {there} that there are")
    return self.examples or there

  def decay(self, data: Images) -> Float[np.ndarray, "step"]:
    """The factor on the learning rate of each step."""
    held = 1 if self.schedule == "linear" else self.steps_per_epoch(data)  # steps of the same rate
    done = np.arange(self.steps(data)) // held * held / self.steps(data)
    return recipes.falling(self.schedule, done)


class Objective(NamedTuple):
  """What a group of networks descends."""

  network: Network
  loss: Callable[[Stacked, Examples], Float[Array, "run"]]  # of every network on the same minibatch
  # Images as they are stored, and a key; None: networks take them as they are.
  augment: Callable[[Array, Array], Array] | None = None

  def minibatch(
    self, data: Images, indices: Int[Array, "example"], key: Array, augment: bool | None = None
  ) -> Examples:
    """Those training examples, as the network takes them; `augment` as in a recipe."""
    if augment and self.augment is None:
      raise ConfigError("corpus.recipe.augment: this task's images are never changed")
    images = rows(data.train.images, indices)
    if self.augment is not None and augment is not False:
      images = self.augment(images, key)
    return Examples(data.inputs(images), jnp.asarray(data.train.labels)[indices])


def rows(images: Num[Array | np.ndarray, "example ..."], indices: Int[Array, "picked"]) -> Num[Array, "picked ..."]:
  """images[indices]; bytes are copied four at a time, as XLA on a CPU copies number by number."""
  size = math.prod(images.shape[1:])
  if images.dtype != jnp.uint8 or size % 4:
    return jnp.asarray(images)[indices]
  words = lax.bitcast_convert_type(jnp.reshape(images, (-1, size // 4, 4)), jnp.uint32)
  return lax.bitcast_convert_type(words[indices], jnp.uint8).reshape(-1, *images.shape[1:])


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


def train_runs(
  objective: Objective,
  recipe: SupervisedRecipe,
  data: Images,
  initial: Float[Array, "run parameter"],
  learning_rate: Float[Array, "run"],
  decay: Float[Array, "step"],
  key: Array,
  saved: Int[Array, "checkpoint"],
) -> Float[Array, "checkpoint run parameter"]:
  """`Training.run` of g_pt.tasks.base, by minibatch descent."""
  recipes.check_decay(decay, recipe, data)
  spec = objective.network.spec
  order_key, batch_key = jax.random.split(key)
  order = minibatch_order(order_key, recipe.examples_learned(data), recipe)
  init, descend = rule(recipe)

  def total_loss(stacked, batch):
    return jnp.sum(objective.loss(stacked, batch))

  def step(i, state):
    stacked, optimizer_state = state
    batch = objective.minibatch(data, order[i], jax.random.fold_in(batch_key, i), recipe.augment)
    gradients = jax.grad(total_loss)(stacked, batch)
    rate = learning_rate * decay[i]
    rates = jax.tree.map(lambda p: rate.reshape((1,) * (p.ndim - 1) + (-1,)), stacked)
    return descend(stacked, optimizer_state, gradients, rates)

  def segment(state, bounds):
    state = lax.fori_loop(bounds[0], bounds[1], step, state)
    return state, population.flatten(spec, state[0])

  stacked = population.stack(spec, initial)
  bounds = jnp.stack([jnp.concatenate([jnp.zeros(1, saved.dtype), saved[:-1]]), saved], axis=1)
  return lax.scan(segment, (stacked, init(stacked)), bounds)[1]
