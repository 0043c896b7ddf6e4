"""Trials are real runs of the task, whatever group they are in and however the last group is filled."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import keys
from g_pt.optimizers import curves, trials
from g_pt.optimizers.baselines import fresh_networks
from g_pt.tasks import population
from g_pt.tasks.base import SHARED_PARTS

GROUP, POINTS = 2, 4


@pytest.fixture(scope="module")
def case(toy):
  """(data, recipe, runner, three networks)."""
  data = jax.device_put(toy.load(None))
  recipe = dataclasses.replace(toy.training.recipe, optimizer="momentum")
  measure = jax.jit(lambda theta, judged: trials.measure(toy, theta, judged))
  return data, recipe, trials.Runner(toy, recipe, data, GROUP, POINTS, measure), fresh_networks(toy, 0, 3)


def test_curves_are_runs_of_the_task(case, toy):
  data, recipe, runner, networks = case
  key, finished = jax.random.key(5), []
  combinations = [(0.1, math.inf), (0.03, 0.5)]
  found = trials.run(runner, combinations, networks, key, SHARED_PARTS, lambda: finished.append(None))
  assert len(finished) == 2 * 2
  np.testing.assert_array_equal(found.learning_rate, [0.1, 0.03])
  np.testing.assert_array_equal(found.decay, [math.inf, 0.5])
  steps = recipe.steps(data)
  train, evaluate = jax.jit(toy.training.run, static_argnums=0), jax.jit(functools.partial(population.evaluate, toy))
  for row, (rate, decay) in enumerate(combinations):
    saved = curves.log_points(curves.length(steps, decay), POINTS)
    np.testing.assert_array_equal(found.step[row], saved)
    table = jnp.asarray(curves.cosine(steps, decay))
    # Whatever fills the last group, here the network itself, the network does not see it.
    for group, members in enumerate(([0, 1], [2, 2])):
      initial, own = networks[jnp.array(members)], keys.fold(key, group)
      theta = train(recipe, data, initial, jnp.full(GROUP, rate), table, own, jnp.asarray(saved))
      for part in SHARED_PARTS:
        judged = toy.measurement.part(data, recipe, part)
        for point in range(POINTS + 1):
          numbers = evaluate(theta[point], judged)
          for name in toy.measurement.metrics:
            np.testing.assert_allclose(found.numbers[part][name][row, members, point], numbers[name], rtol=1e-4)


def test_only_the_metrics_and_the_parts_asked_for_are_measured(case, toy):
  *_, runner, networks = case
  found = trials.run(runner, [(0.1, 1.0)], networks[:1], jax.random.key(0), ("recorded",), lambda: None)
  assert {part: set(of) for part, of in found.numbers.items()} == {"recorded": set(toy.measurement.metrics)}
  assert found.numbers["recorded"]["test_loss"].shape == (1, 1, POINTS + 1)


def test_a_short_run_ends_where_nothing_moves_any_more(case, toy):
  data, recipe, _, networks = case
  steps = recipe.steps(data)
  length = curves.length(steps, 0.25)
  assert length < steps
  table, saved = jnp.asarray(curves.cosine(steps, 0.25)), jnp.array([0, length - 1, length, steps])
  train = jax.jit(toy.training.run, static_argnums=0)
  theta = train(recipe, data, networks, jnp.full(3, 0.1), table, jax.random.key(1), saved)
  assert (theta[1] != theta[2]).any()
  np.testing.assert_array_equal(theta[2], theta[3])
