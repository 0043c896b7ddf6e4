"""When curves reach levels, where they are measured, and what takes their learning rates to 0."""

import math

import hypothesis
from hypothesis import strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.optimizers import curves
from g_pt.tasks.base import Metric

LOSS = Metric(label="loss", higher_is_better=False, best_prompt=0.0)
RETURN = Metric(label="return", higher_is_better=True, best_prompt=500.0, coordinate=lambda value: value / 100)
STEP = np.array([0, 1, 10, 100, 1000])


@pytest.mark.parametrize("sign", [1, -1], ids=["lower is better", "higher is better"])
def test_a_crossing_lies_between_points_evenly_in_log_step(sign):
  mean = np.array([4.0, 3.0, 2.0, 1.0, 1.5])

  def crossing(level):
    return float(curves.crossing(STEP, sign * mean, sign * level, higher_is_better=sign < 0))

  assert crossing(2.0) == pytest.approx(10)
  assert crossing(1.5) == pytest.approx(10**1.5)
  assert crossing(2.9) == pytest.approx(10**0.1)
  # From step 0 there is no logarithm: evenly in the step.
  assert crossing(3.75) == pytest.approx(0.25)
  assert crossing(4.0) == crossing(5.0) == 0
  assert math.isnan(crossing(0.99))
  # The first time counts, although the curve comes back.
  assert crossing(1.25) == pytest.approx(10**1.75)


def test_crossings_of_many_curves_are_those_of_each():
  rng = np.random.default_rng(0)
  mean, level = rng.normal(size=(7, 5)), rng.normal(size=7)
  found = curves.crossing(STEP, mean, level, higher_is_better=True)
  assert np.isnan(found).any() and np.isfinite(found).any()
  np.testing.assert_array_equal(found, [curves.crossing(STEP, m, x, True) for m, x in zip(mean, level)])
  of_one = curves.crossing(STEP, mean[0], level, higher_is_better=True)
  np.testing.assert_array_equal(of_one, [curves.crossing(STEP, mean[0], x, True) for x in level])


def test_a_curve_that_is_not_finite_reaches_nothing_there():
  lost = np.array([4.0, np.nan, np.nan, np.inf, np.nan])
  assert math.isnan(curves.crossing(STEP, lost, 3.0, higher_is_better=False))
  assert math.isnan(curves.crossing(STEP, lost, 5.0, higher_is_better=True))
  found_again = np.array([4.0, np.nan, 1.0, 1.0, 1.0])
  assert curves.crossing(STEP, found_again, 3.0, higher_is_better=False) == 10


def test_a_point_that_is_there_again_changes_no_crossing():
  mean = np.array([4.0, 3.0, 2.0, 2.0, 2.0])
  assert curves.crossing(np.array([0, 1, 7, 7, 7]), mean, 2.0, higher_is_better=False) == 7


@hypothesis.given(st.integers(1, 5000), st.integers(2, 120))
def test_points_rise_from_0_to_the_last_step(steps, count):
  points = curves.log_points(steps, count)
  assert len(points) == count + 1
  assert points[0] == 0 and points[-1] == steps
  distinct = np.unique(points)
  # Only where there are too few steps is one there again, and then the last.
  np.testing.assert_array_equal(points[: len(distinct)], distinct)
  assert len(distinct) == min(count, steps) + 1


def test_points_are_even_in_log_step():
  ratio = np.exp(np.diff(np.log(curves.log_points(10_000, 40)[20:])))
  np.testing.assert_allclose(ratio, 10_000 ** (1 / 39), rtol=0.02)


@pytest.mark.parametrize("decay", curves.DECAYS)
def test_a_cosine_ends_where_its_run_ends(decay):
  table, length = curves.cosine(100, decay), curves.length(100, decay)
  assert table.shape == (100,) and table.dtype == np.float32
  assert table[0] == 1 and (table[:length] > 0).all() and (table[length:] == 0).all()
  if math.isinf(decay):
    assert length == 100 and (table == 1).all()
  else:
    assert length == math.ceil(100 * decay)
    # By the step, and halfway to 0 halfway.
    assert (np.diff(table[:length]) < 0).all()
    assert table[int(50 * decay)] == pytest.approx(0.5, abs=0.07)


def test_rates_of_the_grid_are_round_and_found_again():
  assert [curves.grid_rate(index) for index in range(-5, 2)] == [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
  assert [curves.grid_index(curves.grid_rate(index)) for index in range(-20, 20)] == list(range(-20, 20))


@pytest.mark.parametrize("metric", [LOSS, RETURN], ids=["loss", "return"])
def test_levels_are_even_in_the_coordinate_up_to_the_best(metric):
  mean = np.array([[2.3, 1.0, 0.09], [2.3, 0.5, 0.2]]) if metric is LOSS else np.array([[20.0, 30.0, 480.0]])
  levels = curves.levels(metric, mean)
  best = mean.max() if metric.higher_is_better else mean.min()
  assert levels[-1] == best
  coordinate = np.asarray(metric.coordinate(jnp.array([mean[0, 0], *levels])), np.float64)
  np.testing.assert_allclose(np.diff(coordinate[1:]), np.diff(coordinate[1:]).mean(), rtol=1e-2)
  # The easiest quarter of the way has none.
  assert (coordinate[1] - coordinate[0]) / (coordinate[-1] - coordinate[0]) == pytest.approx(0.25, abs=1e-3)


def test_where_no_curve_gets_better_the_start_is_the_only_level():
  assert set(curves.levels(LOSS, np.array([[2.0, 2.5, 3.0]]))) == {2.0}


def test_the_fewest_combinations_that_are_first_or_tie():
  nan = np.nan
  crossings = np.array([[10.0, 10.1, 30.0, nan], [20.0, 20.1, 19.9, 50.0], [nan, nan, 90.0, 60.0]])
  # The second ties with the first, the first is no better: one of them will do. 90 is no tie with 60.
  np.testing.assert_array_equal(curves.fewest_best(crossings), [0, 3])
  np.testing.assert_array_equal(curves.fewest_best(crossings[:, [1, 3]]), [0, 1])
  np.testing.assert_array_equal(curves.fewest_best(np.array([[10.0, 10.3], [10.3, 10.0]])), [0, 1])
