"""Proximal policy optimisation (Schulman et al. 2017) of policies with discrete actions, one run as a pure function."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
import numpy as np
import optax

from g_pt.fields import Settings, limited
from g_pt.parameters import Parameters
from g_pt.tasks import recipes
from g_pt.tasks.base import Data

OPTIMIZERS = ("adam", "rmsprop", "momentum")


@dataclasses.dataclass(frozen=True)
class PPORecipe(Settings):
  """One run of PPO; the defaults are those of Peebles et al. 2022 for Cartpole where it names them."""

  iterations: int = limited(500, least=1)  # of acting and learning; parameters are kept between them
  environments: int = limited(512, least=1)  # that one policy acts in at once
  horizon: int = limited(16, least=1)  # steps in each environment an iteration
  epochs: int = limited(8, least=1)  # passes over what an iteration saw
  minibatches: int = limited(2, least=1)  # of a pass
  optimizer: str = limited("adam", choices=OPTIMIZERS)
  learning_rate: float = limited(3e-4, above=0)  # of actor and critic
  schedule: str = limited("cosine", choices=recipes.SCHEDULES)  # from iteration to iteration
  discount: float = limited(0.99, least=0, most=1)
  gae_lambda: float = limited(0.95, least=0, most=1)  # of the generalised advantage estimate
  clip: float = limited(0.2, least=0)  # of the ratio of new to old probabilities
  entropy_weight: float = limited(0.01, least=0)
  gradient_norm: float = limited(0.5, above=0)  # clip of the actor's gradient, and of the critic's
  episodes: int = limited(64, least=1)  # that each checkpoint is measured by
  # Keeps the critic's values near 1: returns reach 1 / (1 - discount) times it.
  reward_scale: float = limited(0.1, above=0)

  def check(self) -> None:
    if self.environments * self.horizon % self.minibatches:
      steps = self.environments * self.horizon
      raise ValueError(f"minibatches: {self.minibatches} do not share out {steps} steps evenly")

  def steps(self, data: Data) -> int:
    """Number of iterations of one run."""
    del data
    return self.iterations

  def decay(self, data: Data) -> Float[np.ndarray, "step"]:
    """The factor on the learning rate of each iteration."""
    del data
    return recipes.falling(self.schedule, np.arange(self.iterations) / self.iterations)


class Step(NamedTuple):
  """What an environment answers to an action; `state` and `observation` are those of a new episode after `done`."""

  observation: Float[Array, "feature"]
  state: Any
  reward: Float[Array, ""]
  terminated: Bool[Array, ""]  # by the task itself: no reward can follow
  done: Bool[Array, ""]  # terminated, or cut off by the time limit
  next_observation: Float[Array, "feature"]  # of this episode, even where it is over


class Environment(NamedTuple):
  reset: Callable[[Array], tuple[Float[Array, "feature"], Any]]  # key -> observation, state
  step: Callable[[Array, Any, Int[Array, ""]], Step]  # key, state, action -> Step


class Networks(NamedTuple):
  """Functions of parameters and observations [step, feature]."""

  logits: Callable[[Parameters, Array], Float[Array, "step action"]]
  value: Callable[[Parameters, Array], Float[Array, "step"]]


class Learner(NamedTuple):
  """Actor and critic of one run, and what their optimizers remember."""

  parameters: tuple[Parameters, Parameters]
  optimizer: tuple[Any, Any]


class Experience(NamedTuple):
  """Of one iteration: [step, environment, ...], for learning flattened to [step, ...]."""

  observation: Float[Array, "*step feature"]
  action: Int[Array, "*step"]
  log_probability: Float[Array, "*step"]
  advantage: Float[Array, "*step"]
  value_target: Float[Array, "*step"]


def _direction(recipe: PPORecipe) -> optax.GradientTransformation:
  """Clipped gradients -> the step to scale by -learning rate."""
  rule = {
    "adam": lambda: optax.scale_by_adam(eps=1e-5),
    "rmsprop": lambda: optax.scale_by_rms(decay=0.99, eps=1e-5),
    "momentum": lambda: optax.trace(0.9),
  }[recipe.optimizer]()
  return optax.chain(optax.clip_by_global_norm(recipe.gradient_norm), rule)


def log_probability_of(logits: Float[Array, "*step action"], action: Int[Array, "*step"]) -> Float[Array, "*step"]:
  return jnp.sum(jax.nn.log_softmax(logits) * jax.nn.one_hot(action, logits.shape[-1]), axis=-1)


def advantages(
  rewards: Float[Array, "step environment"],
  values: Float[Array, "step environment"],
  next_values: Float[Array, "step environment"],
  terminated: Bool[Array, "step environment"],
  done: Bool[Array, "step environment"],
  discount: float,
  gae_lambda: float,
) -> Float[Array, "step environment"]:
  """Generalised advantage estimates (Schulman et al. 2016); an episode that is cut off keeps its last state's value."""
  td_error = rewards + discount * jnp.where(terminated, 0, next_values) - values

  def back(following, step):
    td_error, done = step
    advantage = td_error + discount * gae_lambda * jnp.where(done, 0, following)
    return advantage, advantage

  return lax.scan(back, jnp.zeros_like(td_error[0]), (td_error, done), reverse=True)[1]


def act(recipe: PPORecipe, environment: Environment, networks: Networks, parameters, states, key: Array):
  """Lets the policy act for one iteration: (observations, states) of the environments -> those after it, Experience."""
  actor, critic = parameters

  def step(carry, key):
    observation, state = carry
    action_key, step_key = jax.random.split(key)
    logits = networks.logits(actor, observation)
    action = jax.random.categorical(action_key, logits)
    answer = jax.vmap(environment.step)(jax.random.split(step_key, recipe.environments), state, action)
    seen = (observation, action, log_probability_of(logits, action), answer._replace(state=None))
    return (answer.observation, answer.state), seen

  keys = jax.random.split(key, recipe.horizon)
  states, (observation, action, log_probability, answer) = lax.scan(step, states, keys)

  def values(observations):
    return networks.value(critic, observations.reshape(-1, observations.shape[-1])).reshape(action.shape)

  value, reward = values(observation), recipe.reward_scale * answer.reward
  advantage = advantages(
    reward, value, values(answer.next_observation), answer.terminated, answer.done, recipe.discount, recipe.gae_lambda
  )
  return states, Experience(observation, action, log_probability, advantage, advantage + value)


def actor_loss(recipe: PPORecipe, logits: Float[Array, "step action"], seen: Experience) -> Float[Array, ""]:
  """The clipped surrogate objective, negative, less the weighted entropy of the policy."""
  advantage = (seen.advantage - seen.advantage.mean()) / (seen.advantage.std() + 1e-8)
  ratio = jnp.exp(log_probability_of(logits, seen.action) - seen.log_probability)
  gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - recipe.clip, 1 + recipe.clip) * advantage)
  log_probabilities = jax.nn.log_softmax(logits)
  entropy = -jnp.sum(jnp.exp(log_probabilities) * log_probabilities, axis=-1)
  return -jnp.mean(gain) - recipe.entropy_weight * jnp.mean(entropy)


def learn(recipe: PPORecipe, networks: Networks, learner: Learner, seen: Experience, rate, key: Array) -> Learner:
  """Some passes over an iteration's experience in minibatches."""
  optimizer = _direction(recipe)

  def loss(parameters, part):
    actor, critic = parameters
    value_loss = 0.5 * jnp.mean((networks.value(critic, part.observation) - part.value_target) ** 2)
    return actor_loss(recipe, networks.logits(actor, part.observation), part) + value_loss

  def minibatch(learner, part):
    gradients = jax.grad(loss)(learner.parameters, part)
    updated = [
      optimizer.update(gradient, state, parameters)
      for gradient, state, parameters in zip(gradients, learner.optimizer, learner.parameters)
    ]
    updates, states = zip(*updated)
    parameters = jax.tree.map(lambda p, update: p - rate * update, learner.parameters, tuple(updates))
    return Learner(parameters, states), None

  def one_pass(learner, key):
    order = jax.random.permutation(key, recipe.environments * recipe.horizon).reshape(recipe.minibatches, -1)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), seen)
    return lax.scan(minibatch, learner, jax.tree.map(lambda x: x[order], flat))

  return lax.scan(one_pass, learner, jax.random.split(key, recipe.epochs))[0]


def train(
  recipe: PPORecipe,
  environment: Environment,
  networks: Networks,
  actor: Parameters,
  critic: Parameters,
  learning_rate: Float[Array, ""],
  decay: Float[Array, "step"],
  key: Array,
  saved: Int[Array, "checkpoint"],
) -> Parameters:
  """One run: the actor after each of the `saved` iterations (rising from 0), arrays [checkpoint, ...].

  An iteration's learning rate is `learning_rate` times its `decay`.
  Under a vmap over actors but not over the key, runs share their random numbers,
  and each is drawn once.
  """
  reset_key, iteration_key = jax.random.split(key)
  optimizer = _direction(recipe)
  learner = Learner((actor, critic), (optimizer.init(actor), optimizer.init(critic)))
  states = jax.vmap(environment.reset)(jax.random.split(reset_key, recipe.environments))

  def iteration(i, carry):
    learner, states = carry
    act_key, learn_key = jax.random.split(jax.random.fold_in(iteration_key, i))
    states, seen = act(recipe, environment, networks, learner.parameters, states, act_key)
    return learn(recipe, networks, learner, seen, learning_rate * decay[i], learn_key), states

  def segment(carry, bounds):
    carry = lax.fori_loop(bounds[0], bounds[1], iteration, carry)
    return carry, carry[0].parameters[0]

  bounds = jnp.stack([jnp.concatenate([jnp.zeros(1, saved.dtype), saved[:-1]]), saved], axis=1)
  return lax.scan(segment, (learner, states), bounds)[1]
