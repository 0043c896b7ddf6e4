"""Every task of the table by the same tests, on its own data where that ships with a package, else on stand-ins."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import tasks
from g_pt.parameters.symmetry import permutation_index, random_permutations
from g_pt.tasks import cartpole, networks, population
from g_pt.tasks.base import PARTS, Recipe
from g_pt.tasks.datasets import Examples, Images

# Images of the tasks whose data has to be downloaded: the shape of one.
STAND_INS = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
EXAMPLES = 7


def stand_in(shape):
  """Noise in the shape of a dataset: 11 training, 13 recorded and 5 final examples of several classes."""
  rng = np.random.default_rng(0)

  def examples(count):
    return Examples(rng.integers(0, 256, (count, *shape), np.uint8), (np.arange(count) % 10).astype(np.int32))

  return Images(examples(11), examples(13), examples(5), *np.full((2, shape[-1]), 128, np.float32))


# One network's own forward pass, parameters and inputs -> outputs [example, output], beside that of a stack.
FORWARD = {
  "digits": networks.MLP((10, 10)),
  "mnist": networks.MLP((10, 10)),
  "cifar10": networks.CNN((16, 32), 10),
  "cartpole": cartpole.MLP((32, 32, 2), 0.01),
}


@pytest.fixture(scope="module", params=tasks.TASKS)
def case(request):
  """(task, its data, one network)."""
  task = tasks.get(request.param)
  data = stand_in(STAND_INS[task.name]) if task.name in STAND_INS else task.load(None)
  return task, data, jax.jit(task.network.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def evaluate(case):
  """(network, part) -> every number of one network on the part."""
  task, data, _ = case
  compiled = jax.jit(task.measurement.evaluate)
  recipe = short(task)

  def numbers(network, part="recorded"):
    stack = jax.tree.map(lambda x: x[..., None], network)
    return compiled(stack, task.measurement.part(data, recipe, part))

  return numbers


def short(task):
  """A recipe of the task that stand-ins and seconds suffice for."""
  if task.name == "cartpole":
    return dataclasses.replace(task.training.recipe, iterations=2, environments=4, epochs=2, episodes=64)
  return dataclasses.replace(task.training.recipe, epochs=2, batch_size=5, optimizer="sgd", weight_decay=0.0)


def inputs_of(task, data, key):
  """EXAMPLES inputs of the network: the task's own where it has any."""
  if task.training.examples is not None:
    return task.training.examples(data, key, EXAMPLES)[0]
  return jax.random.uniform(key, (EXAMPLES, 4), minval=-1, maxval=1)


def apply_one(task, network, inputs):
  """Outputs of a stack of one."""
  return jax.jit(task.network.apply)(jax.tree.map(lambda x: x[..., None], network), inputs)[..., 0]


def test_networks_start_finite_and_differ_by_key(case):
  task, _, network = case
  init = jax.jit(task.network.init)
  theta = task.spec.flatten(network)
  assert np.isfinite(theta).all()
  np.testing.assert_array_equal(task.spec.flatten(init(jax.random.key(0))), theta)
  assert (task.spec.flatten(init(jax.random.key(1))) != theta).mean() > 0.5


def test_spec_round_trip_is_exact(case):
  task, _, network = case
  theta = task.spec.flatten(network)
  assert theta.shape == (task.spec.size,)
  jax.tree.map(np.testing.assert_array_equal, task.spec.unflatten(theta), network)


def test_a_step_of_descent_is_finite_and_moves_every_parameter(case):
  """Plain, without weight decay: every parameter has a gradient."""
  task, data, network = case
  if not isinstance(data, Images):
    pytest.skip(f"{task.name} descends no loss of a batch")
  recipe = short(task)
  run = jax.jit(functools.partial(task.training.run, recipe))
  initial = jnp.stack([task.spec.flatten(network)] * 2)
  rates, saved = jnp.array([recipe.learning_rate, 0.0]), jnp.array([0, 1])
  theta = run(data, initial, rates, recipe.decay(data), jax.random.key(1), saved)
  assert theta.shape == (2, 2, task.spec.size) and np.isfinite(theta).all()
  np.testing.assert_array_equal(theta[0], initial)
  np.testing.assert_array_equal(theta[1, 1], initial[1])
  for name, part in task.spec.layers(theta[1, 0] - theta[0, 0]).items():
    assert np.any(part != 0), name


def test_every_part_is_measured_by_finite_numbers_and_the_recorded_one_by_every_metric(case, evaluate):
  task, _, network = case
  assert task.measurement.parts[:2] == PARTS[:2] and set(task.measurement.parts) <= set(PARTS)
  by_part = {part: evaluate(network, part) for part in task.measurement.parts}
  for part, numbers in by_part.items():
    assert set(task.measurement.metrics) <= set(numbers), part
    for name, value in numbers.items():
      assert value.shape == (1,) and np.isfinite(value).all(), (part, name)
  for name in by_part["final"]:
    assert by_part["final"][name] != by_part["recorded"][name], name


def stack_of(task, count):
  """Different initial networks, stacked."""
  keys = jax.random.split(jax.random.key(5), count)
  each = [jax.jit(task.network.init)(key) for key in keys]
  return jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=-1), *each)


def test_an_ensemble_of_one_network_is_that_network(case, evaluate):
  """And of one twice; two others are another."""
  task, data, network = case
  judged = task.measurement.part(data, short(task), "recorded")
  together = jax.jit(task.measurement.ensemble)
  alone = evaluate(network)
  for count in (1, 2):
    stacked = jax.tree.map(lambda x, copies=count: jnp.stack([x] * copies, axis=-1), network)
    found = together(stacked, judged)
    assert set(found) == set(alone)
    for name, value in found.items():
      np.testing.assert_allclose(value, alone[name][0], rtol=1e-4, err_msg=name)
  each, found = task.measurement.evaluate(stack_of(task, 3), judged), together(stack_of(task, 3), judged)
  if isinstance(data, Images):  # by Jensen's inequality
    assert found["test_loss"] < each["test_loss"].mean()
  else:
    assert found["episode_return"].shape == ()


def test_decisions_are_those_that_are_measured(case, evaluate):
  task, data, network = case
  judged = task.measurement.part(data, short(task), "recorded")
  chosen, right = jax.jit(task.measurement.decisions)(stack_of(task, 3), judged)
  if not isinstance(data, Images):
    assert right is None and set(np.unique(chosen)) == {0, 1} and chosen.shape[1] == 3
    return
  error = 100 * np.mean(np.asarray(chosen) != np.asarray(right)[:, None], axis=0)
  np.testing.assert_allclose(error, task.measurement.evaluate(stack_of(task, 3), judged)["test_error"], rtol=1e-4)


def test_a_picture_shows_the_network(case):
  """Of every task tiles of 1 or 3 channels, which change with the network."""
  task, _, network = case
  tiles = jax.jit(task.network.picture.tiles)(network)
  assert tiles.ndim == 4 and tiles.shape[3] in (1, 3) and np.isfinite(tiles).all()
  other = task.network.picture.tiles(jax.tree.map(lambda x: x + 0.1, network))
  assert np.abs(tiles - other).max() > 1e-3 and task.network.picture.caption


def test_the_whole_is_both_parts(case):
  task, data, _ = case
  if not isinstance(data, Images):
    assert task.measurement.parts == ("recorded", "final")
    return
  part = functools.partial(task.measurement.part, data, short(task))
  whole, (recorded, final) = part("whole").splits, (part(name).splits["test"] for name in ("recorded", "final"))
  assert set(part("recorded").splits) == {"test", "train"} and set(whole) == set(part("final").splits) == {"test"}
  jax.tree.map(
    lambda whole, *parts: np.testing.assert_array_equal(whole, np.concatenate(parts)), whole["test"], recorded, final
  )


def test_a_recipe_s_first_examples_are_of_the_recorded_part_alone(case):
  task, data, _ = case
  if not isinstance(data, Images):
    pytest.skip(f"{task.name} is not measured on examples")
  recipe = dataclasses.replace(short(task), test_examples=3, train_examples=4)
  recorded = task.measurement.part(data, recipe, "recorded").splits
  np.testing.assert_array_equal(recorded["test"].images, data.recorded.images[:3])
  np.testing.assert_array_equal(recorded["train"].labels, data.train.labels[:4])
  np.testing.assert_array_equal(task.measurement.part(data, recipe, "final").splits["test"].images, data.final.images)


def test_unknown_parts_are_refused(case):
  task, data, _ = case
  with pytest.raises(ValueError, match=f"unknown part 'test'; there is: {', '.join(task.measurement.parts)}"):
    task.measurement.part(data, short(task), "test")


def test_a_metric_s_scale_is_monotone_and_its_best_prompt_is_better_than_a_random_network(case, evaluate):
  task, _, network = case
  numbers = evaluate(network)
  for name, metric in task.measurement.metrics.items():
    own = float(numbers[name][0])
    value = jnp.linspace(min(metric.best_prompt, own), max(metric.best_prompt, own), 50)
    coordinate = metric.coordinate(value)
    assert np.isfinite(coordinate).all()
    step = np.diff(coordinate)
    assert (step > 0).all() or (step < 0).all(), name
    assert metric.gain(metric.best_prompt) > metric.gain(own), name


def test_a_network_that_diverged_is_never_the_best(case, evaluate):
  task, _, network = case
  lost, own = evaluate(jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), network)), evaluate(network)
  for name, metric in task.measurement.metrics.items():
    assert not metric.gain(float(lost[name][0])) > metric.gain(float(own[name][0])), name


def test_permuting_hidden_units_keeps_the_function(case, evaluate):
  task, data, network = case
  theta = task.spec.flatten(network)
  index = permutation_index(task.spec, random_permutations(task.spec, jax.random.key(2)))
  assert (theta[index] != theta).mean() > 0.3
  permuted = task.spec.unflatten(theta[index])
  inputs = inputs_of(task, data, jax.random.key(1))
  out = apply_one(task, network, inputs)
  assert out.shape[0] == EXAMPLES and np.std(out, axis=0).min() > 0
  np.testing.assert_allclose(apply_one(task, permuted, inputs), out, rtol=1e-5, atol=1e-5)
  if not isinstance(data, Images):
    for name, value in evaluate(permuted).items():
      np.testing.assert_allclose(value, evaluate(network)[name], rtol=1e-4)


def test_many_networks_compute_as_each_alone_with_the_same_gradients(case):
  """So that networks can be told apart by their outputs, and brought together."""
  task, data, _ = case
  init = jax.jit(task.network.init)
  theta = 3 * jnp.stack([task.spec.flatten(init(key)) for key in jax.random.split(jax.random.key(0), 2)])
  inputs = inputs_of(task, data, jax.random.key(1))
  assert np.abs(inputs_of(task, data, jax.random.key(2)) - inputs).max() > 0
  module = FORWARD[task.name]

  def alone(theta):
    return jnp.stack([module.apply({"params": task.spec.unflatten(own)}, inputs) for own in theta], axis=-1)

  def together(theta):
    return task.network.apply(population.stack(task.spec, theta), inputs)

  weight = jnp.asarray(np.random.default_rng(0).normal(size=jax.eval_shape(alone, theta).shape).astype(np.float32))
  (out, gradient), (expected, expected_gradient) = (
    jax.jit(lambda theta, f=f: (f(theta), jax.grad(lambda theta: jnp.sum(weight * f(theta)))(theta)))(theta)
    for f in (together, alone)
  )
  assert out.shape == (EXAMPLES, out.shape[1], 2) and np.abs(out[..., 0] - out[..., 1]).max() > 1e-3
  np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-3, atol=1e-4 * np.abs(expected_gradient).max())


def test_networks_are_compared_on_training_images_as_they_are(case):
  task, data, _ = case
  if not isinstance(data, Images):
    assert task.training.examples is None
    return
  # Nothing of the parts that networks are judged on is looked at.
  blind = data._replace(recorded=None, final=None)
  inputs, labels = (np.asarray(x) for x in task.training.examples(blind, jax.random.key(1), 40))
  assert inputs.shape == (40, *data.train.images.shape[1:])
  images = np.asarray(data.inputs(data.train.images), np.float32)
  own = {(image.tobytes(), int(label)) for image, label in zip(images, data.train.labels)}
  assert {(image.tobytes(), int(label)) for image, label in zip(inputs, labels)} <= own
  assert len(set(labels.tolist())) > 1


def test_the_recipe_names_its_learning_rate_and_every_optimizer(case):
  task, data, _ = case
  recipe = task.training.recipe
  assert isinstance(recipe, Recipe) and recipe.learning_rate > 0 and dataclasses.is_dataclass(recipe)
  assert recipe.optimizer in task.training.optimizers
  for optimizer in task.training.optimizers:
    dataclasses.replace(recipe, optimizer=optimizer)
  recipe = dataclasses.replace(recipe, batch_size=5) if task.name in STAND_INS else recipe
  assert recipe.steps(data) == len(recipe.decay(data)) > 0


def test_unknown_names_are_refused_with_those_there_are():
  there_is = "there is: digits, mnist, cifar10, cartpole, and image sets of TFDS"
  with pytest.raises(ValueError, match=f"unknown task 'xor'; {there_is}"):
    tasks.get("xor")
  with pytest.raises(ValueError, match=r"unknown metric 'speed' of task 'digits'; it has: test_loss, test_error"):
    tasks.get("digits").metric("speed")
