"""What a recipe may be, and how its learning rate falls, of every kind alike."""

import dataclasses
import math

import numpy as np
import pytest

from g_pt.tasks.base import Recipe
from g_pt.tasks.datasets import Examples, Images
from g_pt.tasks.ppo import PPORecipe
from g_pt.tasks.supervised import SupervisedRecipe

KINDS = [SupervisedRecipe, PPORecipe]


def images(count):
  train = Examples(np.zeros((count, 2), np.float32), np.zeros(count, np.int32))
  return Images(train, train, train)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("learning_rate", math.nan, "learning_rate: nan is not a finite number"),
    ("learning_rate", 0.0, "learning_rate: 0.0 is not greater than 0"),
    ("learning_rate", -0.1, "learning_rate: -0.1 is not greater than 0"),
    ("learning_rate", math.inf, "learning_rate: inf is not a finite number"),
    ("epochs", 0, "epochs: 0 is less than 1"),
    ("optimizer", "lion", "optimizer: unknown 'lion'; it is one of: "),
    ("schedule", "step", "schedule: unknown 'step'; it is one of: cosine, linear, constant"),
  ],
)
def test_what_cannot_be_is_refused_by_its_name(kind, field, value, message):
  with pytest.raises(ValueError, match=f"^{message}"):
    kind(**{field: value})


@pytest.mark.parametrize("field", ["momentum", "weight_decay"])
def test_momentum_and_weight_decay_are_finite_and_not_below_0(field):
  assert getattr(SupervisedRecipe(**{field: 0.0}), field) == 0
  unbounded = "is not a finite number"
  for value, why in ((-0.1, "is less than 0"), (math.nan, unbounded), (math.inf, unbounded)):
    with pytest.raises(ValueError, match=f"^{field}: {value} {why}"):
      SupervisedRecipe(**{field: value})


def test_the_rate_of_a_supervised_run_falls_a_step_an_epoch():
  recipe, data = SupervisedRecipe(epochs=7, batch_size=8), images(43)
  decay = recipe.decay(data)
  assert decay.dtype == np.float32 and decay.shape == (35,) == (recipe.steps(data),)
  for step, factor in enumerate(decay):
    np.testing.assert_allclose(factor, 0.5 * (1 + math.cos(math.pi * (step // 5) / 7)), rtol=1e-6)


def test_the_rate_of_a_policy_falls_an_iteration_at_a_time():
  recipe = PPORecipe(iterations=11)
  decay = recipe.decay(None)
  assert decay.dtype == np.float32 and decay.shape == (11,) == (recipe.steps(None),)
  np.testing.assert_allclose(decay, [0.5 * (1 + math.cos(math.pi * i / 11)) for i in range(11)], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_linear_rate_falls_at_every_step_by_as_much(kind):
  recipe, data = kind(schedule="linear"), images(300)
  decay = recipe.decay(data)
  assert decay.dtype == np.float32 and decay.shape == (recipe.steps(data),) and decay[0] == 1
  np.testing.assert_allclose(np.diff(decay), -1 / len(decay), rtol=1e-3)
  np.testing.assert_allclose(decay[-1], 1 / len(decay), rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_rate_keeps_its_size(kind):
  recipe = kind(schedule="constant")
  np.testing.assert_array_equal(recipe.decay(images(300)), np.ones(recipe.steps(images(300))))


@pytest.mark.parametrize("kind", KINDS)
def test_recipes_are_of_the_kind_that_tasks_are_promised(kind):
  recipe = kind()
  assert isinstance(recipe, Recipe)
  assert dataclasses.replace(recipe, learning_rate=0.5).learning_rate == 0.5
  assert hash(recipe) == hash(kind())  # static in a compiled program
