"""Policies 4-32-32-2 for gymnax's CartPole-v1, trained by PPO; only the actor is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
import math
from typing import Any, NamedTuple

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt32
import numpy as np

from g_pt.errors import ConfigError
from g_pt.parameters import Parameters
from g_pt.tasks import population, ppo, recipes
from g_pt.tasks.base import SHARED_PARTS, Decisions, Measurement, Metric, Network, Picture, Stacked, Task, Training
from g_pt.tasks.networks import mlp_hidden_layers

EPISODES = 1024  # that there are in each part to measure a policy by; returns of a middling one vary by about 100
PARTS = SHARED_PARTS  # no figure is published for a fixed set of episodes
_STATES = 2048  # in which policies are compared
# Position (m), velocity (m/s), angle (rad; an episode ends beyond it) and angular velocity (rad/s) of those states.
_WIDEST = np.array([2.4, 2.0, 0.2095, 2.0], np.float32)
_ACROSS = np.linspace(-1, 1, 48, dtype=np.float32)  # of a portrait
_WIDTHS = (32, 32)
_ACTIONS = 2


@functools.cache
def cartpole() -> tuple[Any, Any]:
  """gymnax's CartPole-v1 and its settings; imported when first used, as gymnax takes seconds to import."""
  import gymnax

  return gymnax.make("CartPole-v1")


class Episodes(NamedTuple):
  """What evaluation starts its episodes from: data of random keys, another set for each part."""

  recorded: UInt32[Array | np.ndarray, "episode 2"]
  final: UInt32[Array | np.ndarray, "episode 2"]


def load(data_dir: str | None = None) -> Episodes:
  """The episodes that every policy is judged by: always the same; `data_dir` is not used."""
  del data_dir
  recorded, final = (np.random.default_rng(s).integers(0, 2**32, (EPISODES, 2), np.uint32) for s in (0, 1))
  return Episodes(recorded, final)


def part(data: Episodes, recipe: ppo.PPORecipe, name: str) -> UInt32[Array | np.ndarray, "episode 2"]:
  """`Measurement.part` of g_pt.tasks.base: the recipe's number of episodes, of each part the first."""
  if name not in PARTS:
    raise ValueError(f"unknown part {name!r}; there is: {', '.join(PARTS)}")
  keys = getattr(data, name)
  if recipe.episodes > len(keys):
    raise ConfigError(f"corpus.recipe.episodes: {recipe.episodes} is more than the {len(keys)} that there are")
  return keys[: recipe.episodes]


def orthogonal(gain: float) -> Callable[..., Array]:
  """Matrices of orthonormal rows or columns, times `gain`, evenly distributed over all those.

  By Gram and Schmidt rather than LAPACK, two batched calls of which at once can
  lock XLA's threads on a CPU.
  """

  def init(key, shape, dtype=jnp.float32):
    long, short = max(shape), min(shape)

    def orthonormal(i, matrix):
      before = jnp.arange(short) < i
      column = matrix[:, i]
      for _ in range(2):  # once leaves the errors of its rounding, twice none
        column = column - matrix @ jnp.where(before, column @ matrix, 0)
      return matrix.at[:, i].set(column / jnp.linalg.norm(column))

    matrix = lax.fori_loop(0, short, orthonormal, jax.random.normal(key, (long, short), dtype))
    return gain * (matrix if shape[0] == long else matrix.T)

  return init


class MLP(nn.Module):
  """Fully connected layers with SELU between them, named as in g_pt.tasks.classifiers."""

  widths: Sequence[int]  # of every layer but the input
  last_gain: float

  @nn.compact
  def __call__(self, x: Float[Array, "*step feature"]) -> Float[Array, "*step output"]:
    for i, width in enumerate(self.widths):
      last = i == len(self.widths) - 1
      init = orthogonal(self.last_gain if last else math.sqrt(2))
      x = nn.Dense(width, kernel_init=init, name=f"layer_{i}")(x)
      x = x if last else nn.selu(x)
    return x


_ACTOR = MLP((*_WIDTHS, _ACTIONS), 0.01)
_CRITIC = MLP((*_WIDTHS, 1), 1.0)


def _init(network: MLP, key: Array) -> Parameters:
  return network.init(key, jnp.zeros((1, 4)))["params"]


def forward(actor: Parameters, observations: Float[Array, "*step 4"]) -> Float[Array, "*step 2"]:
  """Logits of pushing left and right."""
  return jnp.asarray(_ACTOR.apply({"params": actor}, observations))


def _value(critic: Parameters, observations: Float[Array, "*step 4"]) -> Float[Array, "*step"]:
  return jnp.asarray(_CRITIC.apply({"params": critic}, observations))[..., 0]


def _step(key: Array, state: Any, action: Int[Array, ""]) -> ppo.Step:
  game, settings = cartpole()
  observation, state, reward, terminated, truncated, information = game.step(key, state, action, settings)
  return ppo.Step(
    observation, state, reward, terminated, terminated | truncated, information["final_observation"]
  )


def _reset(key: Array) -> tuple[Float[Array, "4"], Any]:
  game, settings = cartpole()
  return game.reset(key, settings)


ENVIRONMENT = ppo.Environment(reset=_reset, step=_step)
_NETWORKS = ppo.Networks(forward, _value)


Policy = Callable[[Float[Array, "*step 4"]], Float[Array, "*step 2"]]  # observations -> logits


def play(policy: Policy, episodes: UInt32[Array | np.ndarray, "episode 2"]) -> dict[str, Float[Array, ""]]:
  """Mean return over episodes of the likelier action each time, and the mean's standard error."""
  keys = jax.random.wrap_key_data(jnp.asarray(episodes))
  game, settings = cartpole()
  observation, state = jax.vmap(ENVIRONMENT.reset)(keys)
  step = jax.vmap(game.step_env, in_axes=(0, 0, 0, None))

  def running(carry):
    _, _, alive, time, _ = carry
    return jnp.any(alive) & (time < settings.max_steps_in_episode)

  def advance(carry):
    observation, state, alive, time, returns = carry
    action = jnp.argmax(policy(observation), axis=-1)
    observation, state, _, terminated, _ = step(keys, state, action, settings)
    return observation, state, alive & ~terminated, time + 1, returns + alive

  count = keys.shape[0]
  start = (observation, state, jnp.ones(count, bool), 0, jnp.zeros(count))
  returns = lax.while_loop(running, advance, start)[-1]
  return {"episode_return": returns.mean(), "episode_return_error": returns.std(ddof=1) / math.sqrt(count)}


def evaluate(actor: Parameters, episodes: UInt32[Array | np.ndarray, "episode 2"]) -> dict[str, Float[Array, ""]]:
  """What one policy gets."""
  return play(functools.partial(forward, actor), episodes)


def ensemble(actors: Stacked, episodes: UInt32[Array | np.ndarray, "episode 2"]) -> dict[str, Float[Array, ""]]:
  """`Measurement.ensemble` of g_pt.tasks.base: the policy whose probabilities are the mean of theirs."""

  def policy(observations):
    return jnp.mean(jax.nn.softmax(population.by_vmap(forward)(actors, observations), axis=1), axis=2)

  return play(policy, episodes)


def decisions(actors: Stacked, episodes: UInt32[Array | np.ndarray, "episode 2"]) -> Decisions:
  """`Measurement.decisions` of g_pt.tasks.base: the likelier action in states spread evenly over those of play."""
  key = jax.random.wrap_key_data(jnp.asarray(episodes[0]))
  states = jax.random.uniform(key, (_STATES, 4), minval=-_WIDEST, maxval=_WIDEST)
  return Decisions(jnp.argmax(population.by_vmap(forward)(actors, states), axis=1), None)


def _portrait(actor: Parameters) -> Float[Array, "1 row column 1"]:
  """The probability of pushing right of a cart at rest in the middle, by the pole's angular velocity and angle."""
  velocity, angle = jnp.meshgrid(_WIDEST[3] * _ACROSS[::-1], _WIDEST[2] * _ACROSS, indexing="ij")
  none = jnp.zeros_like(angle)
  logits = forward(actor, jnp.stack([none, none, angle, velocity], axis=-1))
  return jax.nn.softmax(logits)[None, :, :, 1:]


def train_runs(
  network: Network,
  recipe: ppo.PPORecipe,
  data: Episodes,
  initial: Float[Array, "run parameter"],
  learning_rate: Float[Array, "run"],
  decay: Float[Array, "step"],
  key: Array,
  saved: Int[Array, "checkpoint"],
) -> Float[Array, "checkpoint run parameter"]:
  """`Training.run` of g_pt.tasks.base: the actors; the critic's first parameters are among what the group shares."""
  recipes.check_decay(decay, recipe, data)
  spec = network.spec
  critic_key, train_key = jax.random.split(key)
  critic = _init(_CRITIC, critic_key)

  def run(theta, rate):
    actors = ppo.train(recipe, ENVIRONMENT, _NETWORKS, spec.unflatten(theta), critic, rate, decay, train_key, saved)
    return jax.vmap(spec.flatten)(actors)

  return jax.vmap(run, out_axes=1)(initial, learning_rate)


_NETWORK = Network(
  init=functools.partial(_init, _ACTOR),
  apply=population.by_vmap(forward),
  picture=Picture(
    _portrait,
    "phase portrait: the probability of pushing right, by the pole's angle (across, 12 degrees to each side) and its "
    "angular velocity (up, 2 rad/s each way), the cart at rest in the middle",
  ),
  hidden_layers=mlp_hidden_layers((*_WIDTHS, _ACTIONS)),
)

TASK = Task(
  name="cartpole",
  load=load,
  network=_NETWORK,
  measurement=Measurement(
    metrics={
      "episode_return": Metric(
        label="mean return", higher_is_better=True, best_prompt=500.0, coordinate=lambda value: value / 100
      ),
    },
    part=part,
    evaluate=population.by_vmap(evaluate),
    ensemble=ensemble,
    decisions=decisions,
    parts=PARTS,
  ),
  training=Training(
    recipe=ppo.PPORecipe(), run=functools.partial(train_runs, _NETWORK), optimizers=ppo.OPTIMIZERS
  ),
)
