"""One update beside hand-made optimizers: their rates are chosen fairly, their curves are real runs."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.evaluation.config import EvaluateConfig
from g_pt.evaluation.one_update import Curve, Curves, measure_one_update, optimizer_curves, steps_to_match
from g_pt.tasks.base import Metric

CONFIG = EvaluateConfig(networks=3, learning_rates=(0.001, 0.1, 1e9), tuning_networks=2, curve_points=4)
LOWER = Metric("loss", False, best_prompt=0.0, recursive_prompt=0.0)
HIGHER = Metric("return", True, best_prompt=500.0, recursive_prompt=500.0)


@pytest.fixture(scope="module")
def toy_gpt(gpt, toy):
  """A G.pt of the toy task, with one optimizer; its model is not asked here."""
  task = dataclasses.replace(toy, optimizers=("sgd",))
  return dataclasses.replace(gpt, task=task, data=jax.device_put(toy.load(None)))


def initial(task, seed, count):
  init = jax.jit(jax.vmap(lambda key: task.spec.flatten(task.init(key))))
  return init(jax.random.split(jax.random.key(seed), count))


def test_curves_are_runs_at_the_best_of_the_rates(toy_gpt, toy):
  theta, tuning = initial(toy, 0, 3), initial(toy, 1, 2)
  key = jax.random.key(2)
  curves = optimizer_curves(toy_gpt, toy.recipe, toy.load(None), theta, tuning, CONFIG, key)
  assert list(curves.by_optimizer) == ["sgd"]
  curve = curves.by_optimizer["sgd"]
  # 0.001 hardly moves and 1e9 diverges.
  assert curve.learning_rate == pytest.approx(0.1)
  np.testing.assert_array_equal(curves.step, [0, 1, 2, 5, 10])
  recipe = dataclasses.replace(toy.recipe, optimizer="sgd")
  group = jax.jit(functools.partial(toy.train_group, toy, recipe))(
    toy_gpt.data, theta, jnp.full(3, 0.1), jax.random.split(key)[1], jnp.asarray(curves.step)
  )
  np.testing.assert_allclose(curve.metric, group.metrics["test_loss"], rtol=1e-5)
  assert (curve.metric[:, -1] < curve.metric[:, 0]).all()


@pytest.mark.parametrize(("metric", "sign"), [(LOWER, 1), (HIGHER, -1)], ids=["lower is better", "higher is better"])
def test_steps_to_match_is_the_first_step_as_good(metric, sign):
  fast = np.array([[3.5, 2.0, 1.0, 0.5], [2.5, 2.0, 1.0, 0.5]])
  slow = np.array([[3.0, 2.9, 2.8, 2.7]])
  curves = Curves(np.array([0, 1, 10, 100]), {"fast": Curve(0.1, sign * fast), "slow": Curve(0.1, sign * slow)})
  assert steps_to_match(metric, curves, sign * 1.0) == {"fast": 10, "slow": None}
  assert steps_to_match(metric, curves, sign * 2.85) == {"fast": 1, "slow": 10}
  assert steps_to_match(metric, curves, sign * 4.0) == {"fast": 0, "slow": 0}


def test_a_curve_that_is_not_finite_matches_nothing():
  curves = Curves(np.array([0, 1]), {"lost": Curve(0.1, np.array([[2.0, np.nan]]))})
  assert steps_to_match(LOWER, curves, 1.0) == {"lost": None}


def test_one_update_asks_for_the_best_and_records_every_number(gpt):
  theta = initial(gpt.task, 3, 3)
  start = gpt.measure(jax.vmap(gpt.task.spec.unflatten)(theta))
  one = measure_one_update(gpt, theta, start, jax.random.key(4))
  assert one.prompt == gpt.metric.best_prompt
  updated = gpt.update(theta, start, jnp.full(3, one.prompt), jax.random.key(4))
  recorded = gpt.measure_all(jax.vmap(gpt.task.spec.unflatten)(updated))
  assert set(one.recorded) == set(recorded)
  np.testing.assert_array_equal(one.achieved, recorded["test_loss"])
  np.testing.assert_array_equal(one.start, start)
