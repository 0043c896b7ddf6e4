"""PPO against its definitions, and the Cartpole runs that it trains."""

import dataclasses
import functools
import math
import os
import subprocess
import sys

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import tasks
from g_pt.errors import ConfigError
from g_pt.tasks import cartpole, population, ppo

TASK = tasks.get("cartpole")
TINY = dataclasses.replace(
  TASK.training.recipe, iterations=6, environments=4, horizon=8, epochs=2, learning_rate=3e-3, episodes=4
)
SAVED = np.array([0, 1, 3, 6], np.int32)
KEY = jax.random.key(5)


def random(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def initial():
  init = jax.jit(lambda key: TASK.spec.flatten(TASK.network.init(key)))
  return jnp.stack([init(key) for key in jax.random.split(jax.random.key(0), 3)])


@pytest.fixture(scope="module")
def train():
  data = TASK.load(None)
  compiled = jax.jit(functools.partial(population.train_and_measure, TASK, TINY))

  def train(initial, rates, key=KEY, decay=None):
    decay = TINY.decay(data) if decay is None else decay
    return compiled(data, initial, jnp.asarray(rates, jnp.float32), decay, key, SAVED)

  return train


@pytest.fixture(scope="module")
def group(train, initial):
  return train(initial, [3e-3] * 3)


def test_advantages_are_discounted_sums_of_td_errors():
  steps, environments, discount, gae_lambda = 7, 5, 0.9, 0.8
  rewards, values, next_values = (random(i, steps, environments) for i in range(3))
  rng = np.random.default_rng(3)
  done = rng.random((steps, environments)) < 0.3
  terminated = done & (rng.random(done.shape) < 0.5)
  found = ppo.advantages(*map(jnp.asarray, (rewards, values, next_values, terminated, done)), discount, gae_lambda)
  for environment in range(environments):
    for start in range(steps):
      total, weight = 0.0, 1.0
      for t in range(start, steps):
        following = 0.0 if terminated[t, environment] else next_values[t, environment]
        total += weight * (rewards[t, environment] + discount * following - values[t, environment])
        weight *= discount * gae_lambda
        if done[t, environment]:
          break
      np.testing.assert_allclose(found[start, environment], total, rtol=1e-4, atol=1e-5)


def test_the_actor_s_loss_is_the_clipped_objective_less_the_entropy():
  recipe = dataclasses.replace(TINY, clip=0.2, entropy_weight=0.03)
  logits, advantage = random(0, 40, 2), random(1, 40)
  action, old = np.arange(40) % 2, random(2, 40) * 0.3 - 0.7
  seen = ppo.Experience(random(3, 40, 4), jnp.asarray(action), jnp.asarray(old), jnp.asarray(advantage), None)
  probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  ratio = probability[np.arange(40), action] / np.exp(old)
  scaled = (advantage - advantage.mean()) / advantage.std()
  gain = np.minimum(ratio * scaled, np.clip(ratio, 0.8, 1.2) * scaled)
  assert (np.abs(ratio - 1) > 0.2).any()
  entropy = -(probability * np.log(probability)).sum(axis=1)
  found = ppo.actor_loss(recipe, jnp.asarray(logits), seen)
  np.testing.assert_allclose(found, -gain.mean() - 0.03 * entropy.mean(), rtol=1e-4)


def test_a_full_time_limit_is_no_failure():
  """An episode that is cut off keeps the value of the state it was in; one that fell does not."""
  environment, state = gymnax.make("CartPole-v1")[0], None
  _, state = environment.reset(jax.random.key(0), cartpole.cartpole()[1])
  limit = dataclasses.replace(state, time=jnp.int32(cartpole.cartpole()[1].max_steps_in_episode - 1))
  fallen = dataclasses.replace(state, theta=jnp.float32(3.0))
  for start, terminated in ((limit, False), (fallen, True)):
    answer = cartpole.ENVIRONMENT.step(jax.random.key(1), start, jnp.int32(0))
    assert bool(answer.done) and bool(answer.terminated) is terminated
    assert np.abs(answer.next_observation - answer.observation).max() > 1e-4


def test_runs_start_at_their_initial_policies_and_learn(group, initial):
  np.testing.assert_array_equal(group.theta[:, 0], initial)
  assert group.theta.shape == (3, len(SAVED), TASK.spec.size)
  assert np.isfinite(group.theta).all()
  moved = np.abs(np.diff(group.theta, axis=1)).mean(axis=2)
  assert (moved > 1e-4).all()
  for name, part in TASK.spec.layers(group.theta[0, 1] - group.theta[0, 0]).items():
    assert np.any(part != 0), name


def test_a_run_depends_on_its_own_start_and_rate_and_the_key(train, group, initial):
  again = train(initial.at[0].set(jnp.nan).at[2].multiply(2.0), [1e-2, 3e-3, 1e-4])
  np.testing.assert_allclose(again.theta[1], group.theta[1], rtol=1e-5, atol=1e-6)
  assert np.abs(again.theta[2] - group.theta[2]).max() > 1e-3
  assert np.abs(train(initial, [3e-3] * 3, jax.random.key(6)).theta[1] - group.theta[1]).max() > 1e-3


def test_a_run_s_rate_is_its_own_times_the_iteration_s_factor(train, group, initial):
  half = train(initial, [6e-3] * 3, decay=0.5 * TINY.decay(None))
  np.testing.assert_allclose(half.theta, group.theta, rtol=1e-5, atol=1e-6)
  stopped = train(initial, [3e-3] * 3, decay=TINY.decay(None) * np.float32([1, 0, 0, 1, 1, 1]))
  np.testing.assert_array_equal(stopped.theta[:, 1], stopped.theta[:, 2])  # after 1 and 3 iterations
  assert np.abs(stopped.theta[:, 3] - stopped.theta[:, 2]).max() > 1e-3


def test_recorded_returns_are_those_of_the_saved_policies(group):
  measured = TASK.measurement.part(TASK.load(None), TINY, "recorded")
  evaluate = jax.jit(lambda theta: cartpole.evaluate(TASK.spec.unflatten(theta), measured))
  for run, checkpoint in ((0, 0), (2, 3)):
    for name, value in evaluate(group.theta[run, checkpoint]).items():
      np.testing.assert_allclose(group.metrics[name][run, checkpoint], value, rtol=1e-5)


@pytest.mark.parametrize("part", ["recorded", "final"])
def test_a_return_is_the_mean_length_of_greedy_episodes(part):
  count = 6
  network = jax.jit(TASK.network.init)(jax.random.key(3))
  episodes = TASK.measurement.part(TASK.load(None), dataclasses.replace(TINY, episodes=count), part)
  environment, settings = gymnax.make("CartPole-v1")
  step = jax.jit(environment.step_env)
  lengths = []
  for key in jax.random.wrap_key_data(jnp.asarray(episodes)):
    observation, state = environment.reset(key, settings)
    terminated, length = False, 0
    while not terminated and length < 500:
      action = jnp.argmax(cartpole.forward(network, observation))
      observation, state, _, terminated, _ = step(key, state, action, settings)
      length += 1
    lengths.append(length)
  assert len(lengths) == count
  stack = jax.tree.map(lambda x: x[..., None], network)
  numbers = jax.jit(TASK.measurement.evaluate)(stack, episodes)
  np.testing.assert_allclose(numbers["episode_return"], [np.mean(lengths)], rtol=1e-6)
  error = np.std(lengths, ddof=1) / np.sqrt(count)
  np.testing.assert_allclose(numbers["episode_return_error"], [error], rtol=1e-4)


def test_no_final_episode_is_a_recorded_one():
  data = TASK.load(None)
  assert TASK.measurement.parts == ("recorded", "final")
  recipe = dataclasses.replace(TINY, episodes=1024)
  recorded, final = (TASK.measurement.part(data, recipe, name) for name in TASK.measurement.parts)
  assert recorded.shape == final.shape == (1024, 2)
  assert len(np.unique(np.concatenate([recorded, final]), axis=0)) == 2048
  starts = jax.vmap(cartpole.ENVIRONMENT.reset)(jax.random.wrap_key_data(jnp.concatenate([recorded, final])))[0]
  assert len(np.unique(starts, axis=0)) == 2048


@pytest.mark.parametrize("shape", [(4, 32), (32, 32), (32, 2)])
def test_orthogonal_kernels_are_orthonormal_times_the_gain(shape):
  kernel = jax.jit(cartpole.orthogonal(1.5), static_argnums=1)(jax.random.key(0), shape)
  gram = kernel.T @ kernel if shape[0] >= shape[1] else kernel @ kernel.T
  np.testing.assert_allclose(gram, 1.5**2 * np.eye(min(shape)), atol=1e-5)


def test_many_policies_start_side_by_side_without_a_hang():
  """Batched decompositions by LAPACK, two at once, can lock XLA's threads on a CPU: none are made."""
  program = """
import jax
from g_pt import tasks
init = jax.jit(jax.vmap(tasks.get("cartpole").network.init))
for seed in range(30):
  jax.block_until_ready(init(jax.random.split(jax.random.key(seed), 128)))
"""
  subprocess.run([sys.executable, "-c", program], check=True, timeout=240, env=os.environ | {"PYTHONPATH": os.getcwd()})
  compiled = jax.jit(jax.vmap(TASK.network.init)).lower(jax.random.split(jax.random.key(0), 128)).compile().as_text()
  assert "lapack" not in compiled.lower()


def test_settings_that_cannot_be_are_refused():
  with pytest.raises(ValueError, match="^minibatches: 3 do not share out 32 steps evenly"):
    dataclasses.replace(TINY, minibatches=3)
  with pytest.raises(ValueError, match="^optimizer: unknown 'sgd'; it is one of: adam, rmsprop, momentum"):
    dataclasses.replace(TINY, optimizer="sgd")
  with pytest.raises(ValueError, match="^gae_lambda: nan is not a finite number"):
    dataclasses.replace(TINY, gae_lambda=math.nan)
  for part in TASK.measurement.parts:
    with pytest.raises(ConfigError, match="^corpus.recipe.episodes: 2000 is more than the 1024"):
      TASK.measurement.part(TASK.load(None), dataclasses.replace(TINY, episodes=2000), part)
  with pytest.raises(ValueError, match="unknown part 'whole'; there is: recorded, final"):
    TASK.measurement.part(TASK.load(None), TINY, "whole")


def test_policies_learn_to_balance(initial):
  recipe = dataclasses.replace(TINY, iterations=40, environments=16, horizon=32, epochs=4, episodes=16)
  train = jax.jit(functools.partial(population.train_and_measure, TASK, recipe))
  data, saved = TASK.load(None), np.array([0, 40], np.int32)
  group = train(data, initial, jnp.full(3, 3e-3), recipe.decay(data), KEY, saved)
  returns = group.metrics["episode_return"]
  assert returns[:, 1].mean() > 150 > 3 * returns[:, 0].mean() / 2
