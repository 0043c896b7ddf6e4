"""A group of runs trains as each of its networks would alone, by every optimizer."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.errors import ConfigError
from g_pt.tasks import networks, population
from g_pt.tasks.datasets import Examples
from g_pt.tasks.supervised import OPTIMIZERS, SupervisedRecipe, minibatch_order

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


def cosine(step):
  """The recipe's own factor on the learning rate."""
  return 0.5 * (1 + math.cos(math.pi * (step // PER_EPOCH) / EPOCHS))


def train_alone(recipe, data, gradient, theta, rate, decay):
  """One network, one step after another; its parameters after the saved steps."""
  order = minibatch_order(jax.random.split(KEY)[0], len(data.train.labels), recipe)
  direction = directions(recipe.optimizer, recipe.momentum, recipe.weight_decay)
  theta = np.asarray(theta, np.float64)
  kept = [theta]
  for step in range(EPOCHS * PER_EPOCH):
    batch = Examples(data.inputs(data.train.images[order[step]]), data.train.labels[order[step]])
    theta = theta - rate * decay(step) * direction(np.asarray(gradient(jnp.float32(theta), batch), np.float64), theta)
    if step + 1 in SAVED:
      kept.append(theta)
  return np.stack(kept)


@pytest.fixture(scope="module")
def data(toy):
  return jax.device_put(toy.load(None))


@pytest.fixture(scope="module")
def initial(toy):
  return jax.vmap(lambda key: toy.spec.flatten(toy.network.init(key)))(jax.random.split(jax.random.key(0), RUNS))


@pytest.fixture(scope="module")
def train(toy, data):
  """(initial, rates, key) -> RunGroup by the toy's recipe."""
  recipe = toy.training.recipe
  compiled = jax.jit(functools.partial(population.train_and_measure, toy, recipe))
  return lambda initial, rates, key=KEY: compiled(data, initial, rates, recipe.decay(data), key, SAVED)


@pytest.fixture(scope="module")
def gradient(toy):
  """(theta, batch) -> gradient of one network's cross-entropy."""
  module = networks.MLP((5, 3))

  def loss(theta, batch):
    logits = module.apply({"params": toy.spec.unflatten(theta)}, batch.images)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), batch.labels[:, None], axis=1))

  return jax.jit(jax.grad(loss))


@pytest.fixture(scope="module")
def evaluate(toy, data):
  """theta -> every recorded number of one network."""
  judged = toy.measurement.part(data, toy.training.recipe, "recorded")
  compiled = jax.jit(functools.partial(population.evaluate, toy))
  return lambda theta: {name: value[0] for name, value in compiled(theta[None], judged).items()}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_group_trains_as_each_network_alone(toy, data, initial, gradient, optimizer):
  recipe = dataclasses.replace(toy.training.recipe, optimizer=optimizer, weight_decay=0.01)
  rates = RATES * (0.1 if optimizer in ("adamw", "rmsprop") else 1)
  run = jax.jit(functools.partial(toy.training.run, recipe))
  theta = run(data, initial, rates, recipe.decay(data), KEY, SAVED)
  assert theta.shape == (len(SAVED), RUNS, toy.spec.size)
  for i in range(RUNS):
    alone = train_alone(recipe, data, gradient, initial[i], rates[i], cosine)
    np.testing.assert_allclose(theta[:, i], alone, rtol=1e-5, atol=1e-5)
  moved = np.abs(theta[-1] - theta[0]).mean()
  assert moved > 1e-3


def test_any_table_of_factors_may_stand_for_the_recipe_s(toy, data, initial, gradient):
  recipe = toy.training.recipe
  decay = np.random.default_rng(0).uniform(0, 1, EPOCHS * PER_EPOCH).astype(np.float32)
  run = jax.jit(functools.partial(toy.training.run, recipe))
  theta = run(data, initial, RATES, decay, KEY, SAVED)
  alone = train_alone(recipe, data, gradient, initial[1], RATES[1], lambda step: decay[step])
  np.testing.assert_allclose(theta[:, 1], alone, rtol=1e-5, atol=1e-5)
  with pytest.raises(ValueError, match="decay: 9 factors for 10 steps"):
    run(data, initial, RATES, decay[:-1], KEY, SAVED)


def test_recorded_metrics_are_those_of_the_saved_networks(initial, train, evaluate):
  group = train(initial, RATES)
  for run in range(RUNS):
    for checkpoint in range(len(SAVED)):
      for name, value in evaluate(group.theta[run, checkpoint]).items():
        np.testing.assert_allclose(group.metrics[name][run, checkpoint], value, rtol=1e-5)


def test_runs_of_a_group_do_not_touch_each_other(initial, train):
  group = train(initial, RATES)
  # The neighbours start elsewhere; one of them has even diverged.
  others = initial.at[0].set(jnp.nan).at[2].multiply(3.0)
  again = train(others, RATES * np.array([9, 1, 9], np.float32))
  np.testing.assert_array_equal(again.theta[1], group.theta[1])
  assert np.isnan(again.theta[0]).all()
  alone = train(initial[1:2], RATES[1:2])
  np.testing.assert_allclose(alone.theta[0], group.theta[1], rtol=1e-5, atol=1e-6)


def test_the_group_s_key_orders_its_minibatches(initial, train):
  group = train(initial, RATES)
  other = train(initial, RATES, jax.random.key(6))
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


def test_steps_leave_out_the_last_smaller_batch(data):
  assert SupervisedRecipe(epochs=3, batch_size=8).steps(data) == 15
  with pytest.raises(ConfigError, match="corpus.recipe.batch_size: 44 is more than the 43 training examples"):
    SupervisedRecipe(batch_size=44).steps(data)


def test_a_run_learns_from_the_first_examples_alone(toy, data, initial):
  recipe = SupervisedRecipe(epochs=2, batch_size=8, examples=19)
  assert recipe.steps(data) == 4
  run = jax.jit(functools.partial(toy.training.run, recipe))

  def trained(data):
    rates = jnp.full(len(initial), recipe.learning_rate)
    return run(data, initial, rates, recipe.decay(data), jax.random.key(0), jnp.array([0, 4]))

  others = np.array(data.train.images)
  others[19:] = np.nan
  np.testing.assert_array_equal(trained(data), trained(data._replace(train=data.train._replace(images=others))))
  with pytest.raises(ConfigError, match="corpus.recipe.examples: 44 is more than the 43 that there are"):
    SupervisedRecipe(batch_size=8, examples=44).steps(data)


def test_no_more_examples_are_measured_than_there_are(toy, data):
  for field, there in (("test_examples", 17), ("train_examples", 43)):
    toy.measurement.part(data, dataclasses.replace(toy.training.recipe, **{field: there}), "recorded")
    recipe = dataclasses.replace(toy.training.recipe, **{field: there + 1})
    with pytest.raises(ConfigError, match=f"^corpus.recipe.{field}: {there + 1} is more than the {there}"):
      toy.measurement.part(data, recipe, "recorded")
