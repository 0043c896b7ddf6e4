"""Many networks are measured and trained as each alone; one is a stack of one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.tasks import population

RUNS = 3


@pytest.fixture(scope="module")
def theta(toy):
  init = jax.jit(lambda key: toy.spec.flatten(toy.network.init(key)))
  return jnp.stack([init(key) for key in jax.random.split(jax.random.key(0), RUNS)])


@pytest.fixture(scope="module")
def evaluate(toy):
  """(theta [run, parameter], judged) -> every number of each."""
  return jax.jit(functools.partial(population.evaluate, toy))


@pytest.fixture(scope="module")
def judged(toy):
  return toy.measurement.part(toy.load(None), toy.training.recipe, "recorded")


def test_stacked_networks_are_the_flat_ones(toy, theta):
  stacked = population.stack(toy.spec, theta)
  for i in range(RUNS):
    own = jax.tree.map(lambda x, i=i: x[..., i], stacked)
    jax.tree.map(np.testing.assert_array_equal, own, toy.spec.unflatten(theta[i]))
  np.testing.assert_array_equal(population.flatten(toy.spec, stacked), theta)


def test_a_stack_of_one_computes_and_measures_as_in_a_larger_stack(toy, theta, judged, evaluate):
  images = judged.inputs(judged.splits["test"].images)
  apply = jax.jit(toy.network.apply)
  outputs, numbers = apply(population.stack(toy.spec, theta), images), evaluate(theta, judged)
  assert outputs.shape == (17, 3, RUNS)
  for i in range(RUNS):
    alone = apply(population.stack(toy.spec, theta[i : i + 1]), images)
    np.testing.assert_allclose(alone[..., 0], outputs[..., i], rtol=1e-5, atol=1e-6)
    for name, value in evaluate(theta[i : i + 1], judged).items():
      assert value.shape == (1,)
      np.testing.assert_allclose(value[0], numbers[name][i], rtol=1e-5)


def test_by_vmap_every_result_has_the_run_axis_last(toy, theta):
  shared = jnp.arange(5.0)

  def function(network, shared):
    total = sum(map(jnp.sum, jax.tree.leaves(network)))
    return {"sum": total, "outer": shared[:, None] * network["layer_0"]["bias"][None]}

  results = population.by_vmap(function)(population.stack(toy.spec, theta), shared)
  assert results["sum"].shape == (RUNS,) and results["outer"].shape == (5, 5, RUNS)
  for i in range(RUNS):
    alone = function(toy.spec.unflatten(theta[i]), shared)
    np.testing.assert_allclose(results["sum"][i], alone["sum"], rtol=1e-5)
    np.testing.assert_allclose(results["outer"][..., i], alone["outer"], rtol=1e-6)


def test_numbers_of_runs_are_those_of_their_checkpoints(toy, theta, judged, evaluate):
  runs = jnp.stack([theta, 2 * theta], axis=1)
  numbers = jax.jit(functools.partial(population.evaluate_runs, toy))(runs, judged)
  for name, values in numbers.items():
    assert values.shape == (RUNS, 2)
    for checkpoint in range(2):
      wanted = evaluate(runs[:, checkpoint], judged)[name]
      np.testing.assert_allclose(values[:, checkpoint], wanted, rtol=1e-5)
  assert np.abs(numbers["test_loss"][:, 0] - numbers["test_loss"][:, 1]).min() > 1e-3


def test_groups_are_trained_by_the_task_and_measured_on_the_recorded_part(toy, theta, judged, evaluate):
  data, recipe, saved = toy.load(None), toy.training.recipe, np.array([0, 4, 10], np.int32)
  arguments = (data, theta, jnp.full(RUNS, 0.1), recipe.decay(data), jax.random.key(1), saved)
  group = jax.jit(functools.partial(population.train_and_measure, toy, recipe))(*arguments)
  run = jax.jit(functools.partial(toy.training.run, recipe))(*arguments)
  assert group.theta.shape == (RUNS, 3, toy.spec.size)
  np.testing.assert_allclose(group.theta, jnp.swapaxes(run, 0, 1), rtol=1e-6, atol=1e-6)
  last = evaluate(group.theta[:, -1], judged)
  final = evaluate(group.theta[:, -1], toy.measurement.part(data, recipe, "final"))
  np.testing.assert_allclose(group.metrics["test_loss"][:, -1], last["test_loss"], rtol=1e-5)
  assert np.abs(final["test_loss"] - last["test_loss"]).min() > 1e-4
