"""A group of runs trains as each of its networks would alone, by every optimizer."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.errors import ConfigError
from g_pt.tasks.supervised import OPTIMIZERS, SupervisedRecipe, evaluate_group, minibatch_order, train_group

RUNS, EPOCHS, PER_EPOCH = 3, 2, 5
SAVED = np.array([0, 1, 4, EPOCHS * PER_EPOCH], np.int32)
RATES = np.array([0.1, 0.03, 0.2], np.float32)
KEY = jax.random.key(5)


def directions(optimizer, momentum, decay):
  """(gradient, parameters) -> the step to scale by the learning rate; PyTorch's rules, in double precision."""
  state, count = {"velocity": None, "first": 0.0, "second": 0.0}, 0

  def direction(gradient, theta):
    nonlocal count
    count += 1
    if optimizer == "adamw":
      state["first"] = 0.9 * state["first"] + 0.1 * gradient
      state["second"] = 0.999 * state["second"] + 0.001 * gradient**2
      first, second = state["first"] / (1 - 0.9**count), state["second"] / (1 - 0.999**count)
      return first / (np.sqrt(second) + 1e-8) + decay * theta
    gradient = gradient + decay * theta
    if optimizer == "sgd":
      return gradient
    if optimizer == "rmsprop":
      state["second"] = 0.99 * state["second"] + 0.01 * gradient**2
      return gradient / (np.sqrt(state["second"]) + 1e-8)
    velocity = gradient if state["velocity"] is None else momentum * state["velocity"] + gradient
    state["velocity"] = velocity
    return gradient + momentum * velocity if optimizer == "nesterov" else velocity

  return direction


def train_alone(task, recipe, data, gradient, theta, rate):
  """One network, one step after another; its parameters after the saved steps."""
  order_key, batch_key = jax.random.split(KEY)
  order = minibatch_order(order_key, len(data.train.labels), recipe)
  direction = directions(recipe.optimizer, recipe.momentum, recipe.weight_decay)
  theta = np.asarray(theta, np.float64)
  kept = [theta]
  for step in range(EPOCHS * PER_EPOCH):
    batch = task.batch(data, order[step], jax.random.fold_in(batch_key, step))
    decayed = rate * 0.5 * (1 + math.cos(math.pi * (step // PER_EPOCH) / EPOCHS))
    theta = theta - decayed * direction(np.asarray(gradient(jnp.float32(theta), batch), np.float64), theta)
    if step + 1 in SAVED:
      kept.append(theta)
  return np.stack(kept)


@pytest.fixture(scope="module")
def data(toy):
  return jax.device_put(toy.load(None))


@pytest.fixture(scope="module")
def initial(toy):
  return jax.vmap(lambda key: toy.spec.flatten(toy.init(key)))(jax.random.split(jax.random.key(0), RUNS))


@pytest.fixture(scope="module")
def train(toy):
  return jax.jit(functools.partial(train_group, toy, toy.recipe))


@pytest.fixture(scope="module")
def gradient(toy):
  """(theta, batch) -> gradient of one network's loss."""
  return jax.jit(jax.grad(lambda theta, batch: toy.loss(toy.spec.unflatten(theta), batch)))


@pytest.fixture(scope="module")
def evaluate(toy, data):
  """theta -> every number of one network."""
  return jax.jit(lambda theta: toy.evaluate(toy.spec.unflatten(theta), data))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_group_trains_as_each_network_alone(toy, data, initial, gradient, optimizer):
  recipe = dataclasses.replace(toy.recipe, optimizer=optimizer, weight_decay=0.01)
  rates = RATES * (0.1 if optimizer in ("adamw", "rmsprop") else 1)
  group = jax.jit(functools.partial(train_group, toy, recipe))(data, initial, rates, KEY, SAVED)
  assert group.theta.shape == (RUNS, len(SAVED), toy.spec.size)
  for run in range(RUNS):
    alone = train_alone(toy, recipe, data, gradient, initial[run], rates[run])
    np.testing.assert_allclose(group.theta[run], alone, rtol=1e-5, atol=1e-5)
  moved = np.abs(group.theta[:, -1] - group.theta[:, 0]).mean()
  assert moved > 1e-3


def test_recorded_metrics_are_those_of_the_saved_networks(data, initial, train, evaluate):
  group = train(data, initial, RATES, KEY, SAVED)
  for run in range(RUNS):
    for checkpoint in range(len(SAVED)):
      for name, value in evaluate(group.theta[run, checkpoint]).items():
        np.testing.assert_allclose(group.metrics[name][run, checkpoint], value, rtol=1e-5)


def test_runs_of_a_group_do_not_touch_each_other(toy, data, initial, train):
  group = train(data, initial, RATES, KEY, SAVED)
  # The neighbours start elsewhere; one of them has even diverged.
  others = initial.at[0].set(jnp.nan).at[2].multiply(3.0)
  again = train(data, others, RATES * np.array([9, 1, 9], np.float32), KEY, SAVED)
  np.testing.assert_array_equal(again.theta[1], group.theta[1])
  assert np.isnan(again.theta[0]).all()
  alone = train(data, initial[1:2], RATES[1:2], KEY, SAVED)
  np.testing.assert_allclose(alone.theta[0], group.theta[1], rtol=1e-5, atol=1e-6)


def test_the_group_s_key_orders_its_minibatches(data, initial, train):
  group = train(data, initial, RATES, KEY, SAVED)
  other = train(data, initial, RATES, jax.random.key(6), SAVED)
  np.testing.assert_array_equal(other.theta[:, 0], initial)
  assert np.abs(other.theta[:, 1] - group.theta[:, 1]).max() > 1e-4


def test_each_epoch_visits_every_example_at_most_once():
  recipe = SupervisedRecipe(epochs=3, batch_size=8)
  order = minibatch_order(KEY, 43, recipe)
  assert order.shape == (15, 8)
  epochs = np.asarray(order).reshape(3, 40)
  for epoch in epochs:
    assert len(set(epoch.tolist())) == 40 and epoch.min() >= 0 and epoch.max() < 43
  assert (epochs[0] != epochs[1]).mean() > 0.8


def test_evaluating_a_group_is_evaluating_each(toy, data, initial, evaluate):
  numbers = jax.jit(functools.partial(evaluate_group, toy))(initial, data)
  for run in range(RUNS):
    for name, value in evaluate(initial[run]).items():
      np.testing.assert_allclose(numbers[name][run], value, rtol=1e-6)


def test_steps_leave_out_the_last_smaller_batch(data):
  assert SupervisedRecipe(epochs=3, batch_size=8).steps(data) == 15
  with pytest.raises(ConfigError, match="corpus.recipe.batch_size: 44 is more than the 43 training examples"):
    SupervisedRecipe(batch_size=44).steps(data)
