"""Every task of the table by the same tests, on its own data where that ships with a package, else on stand-ins."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import tasks
from g_pt.behaviour import Behaviour
from g_pt.tasks.datasets import Examples, Images

# Images of the tasks whose data has to be downloaded: the shape of one.
STAND_INS = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
EXAMPLES = 7


def stand_in(shape):
  """Noise in the shape of a dataset: 11 training and 13 test examples of all ten classes."""
  rng = np.random.default_rng(0)

  def examples(count):
    return Examples(rng.integers(0, 256, (count, *shape), np.uint8), (np.arange(count) % 10).astype(np.int32))

  return Images(examples(11), examples(13), *np.full((2, shape[-1]), 128, np.float32))


@pytest.fixture(scope="module", params=tasks.TASKS)
def case(request):
  """(task, its data, one network)."""
  task = tasks.get(request.param)
  data = stand_in(STAND_INS[task.name]) if task.name in STAND_INS else task.load(None)
  return task, data, jax.jit(task.init)(jax.random.key(0))


def batch_of(task, data):
  return task.batch(data, jnp.arange(EXAMPLES), jax.random.key(1))


def test_networks_start_finite_and_differ_by_key(case):
  task, _, network = case
  init = jax.jit(task.init)
  theta = task.spec.flatten(network)
  assert np.isfinite(theta).all()
  np.testing.assert_array_equal(task.spec.flatten(init(jax.random.key(0))), theta)
  assert (task.spec.flatten(init(jax.random.key(1))) != theta).mean() > 0.5


def test_spec_round_trip_is_exact(case):
  task, _, network = case
  theta = task.spec.flatten(network)
  assert theta.shape == (task.spec.size,)
  jax.tree.map(np.testing.assert_array_equal, task.spec.unflatten(theta), network)


def test_loss_is_finite_and_every_parameter_has_a_gradient(case):
  task, data, network = case
  if task.loss is None:
    pytest.skip(f"{task.name} descends no loss of a batch")
  loss, gradient = jax.jit(jax.value_and_grad(task.loss))(network, batch_of(task, data))
  assert loss.shape == () and np.isfinite(loss)
  for name, part in task.spec.layers(task.spec.flatten(gradient)).items():
    assert np.isfinite(part).all() and np.any(part != 0), name


def test_evaluate_measures_every_metric(case):
  task, data, network = case
  numbers = jax.jit(task.evaluate)(network, data)
  assert set(task.metrics) <= set(numbers)
  for name, value in numbers.items():
    assert value.shape == () and np.isfinite(value), name


def test_a_metric_s_scale_is_monotone_and_its_prompts_are_better_than_a_random_network(case):
  task, data, network = case
  numbers = jax.jit(task.evaluate)(network, data)
  for name, metric in task.metrics.items():
    value = jnp.linspace(min(metric.best_prompt, numbers[name]), max(metric.best_prompt, numbers[name]), 50)
    coordinate = metric.coordinate(value)
    assert np.isfinite(coordinate).all()
    step = np.diff(coordinate)
    assert (step > 0).all() or (step < 0).all(), name
    for prompt in (metric.best_prompt, metric.recursive_prompt):
      assert metric.is_better(prompt, float(numbers[name])), name


def test_a_network_that_diverged_is_never_the_best(case):
  task, data, network = case
  evaluate = jax.jit(task.evaluate)
  lost = evaluate(jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), network), data)
  for name, metric in task.metrics.items():
    assert not metric.is_better(float(lost[name]), float(evaluate(network, data)[name])), name


def test_permuting_hidden_units_keeps_the_function(case):
  task, data, network = case
  theta = task.spec.flatten(network)
  index = task.spec.permutation_index(task.spec.random_permutations(jax.random.key(2)))
  assert (theta[index] != theta).mean() > 0.3
  permuted = task.spec.unflatten(theta[index])
  if not isinstance(data, Images):
    evaluate = jax.jit(task.evaluate)
    for name, value in evaluate(permuted, data).items():
      np.testing.assert_allclose(value, evaluate(network, data)[name], rtol=1e-4)
    return
  forward = jax.jit(task.forward)
  inputs = jnp.asarray(data.inputs(data.test.images[:EXAMPLES]))
  out = forward(network, inputs)
  assert out.shape[0] == EXAMPLES and np.std(out, axis=0).min() > 0
  np.testing.assert_allclose(forward(permuted, inputs), out, rtol=1e-5, atol=1e-5)


def test_networks_can_be_told_apart_by_their_logits_and_brought_together(case):
  """On the task's inputs, of many at once as of one, with the same gradients."""
  task, data, _ = case
  networks = jax.vmap(lambda key: task.spec.flatten(task.init(key)))(jax.random.split(jax.random.key(0), 4))
  target, start = networks.reshape(2, 2, -1)

  def loss(theta, task):
    return Behaviour(task, 1.0, EXAMPLES).loss(3 * target, theta, data, jax.random.key(1)).sum()

  inputs = task.inputs(data, jax.random.key(1), EXAMPLES)
  assert task.forward(task.init(jax.random.key(0)), inputs).shape[0] == EXAMPLES
  assert np.abs(task.inputs(data, jax.random.key(2), EXAMPLES) - inputs).max() > 0
  value, gradient = jax.jit(jax.value_and_grad(loss), static_argnums=1)(3 * start, task)
  one_by_one = dataclasses.replace(task, group_forward=None)
  expected, expected_gradient = jax.jit(jax.value_and_grad(loss), static_argnums=1)(3 * start, one_by_one)
  assert value > 1e-3
  np.testing.assert_allclose(value, expected, rtol=1e-4)
  np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-3, atol=1e-4 * np.abs(expected_gradient).max())


def test_the_recipe_names_its_learning_rate_and_every_optimizer(case):
  task, data, _ = case
  assert task.recipe.learning_rate > 0 and dataclasses.is_dataclass(task.recipe)
  for optimizer in task.optimizers:
    dataclasses.replace(task.recipe, optimizer=optimizer)
  recipe = dataclasses.replace(task.recipe, batch_size=5) if task.name in STAND_INS else task.recipe
  assert recipe.steps(data) > 0


def test_unknown_names_are_refused_with_those_there_are():
  there_is = "there is: digits, mnist, cifar10, cartpole, and image sets of TFDS"
  with pytest.raises(ValueError, match=f"unknown task 'xor'; {there_is}"):
    tasks.get("xor")
  with pytest.raises(ValueError, match=r"unknown metric 'speed' of task 'digits'; it has: test_loss, test_error"):
    tasks.get("digits").metric("speed")
