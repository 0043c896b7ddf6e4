"""Axes of a metric: far-off values leave them, and ratios are told apart."""

import dataclasses

import numpy as np
import pytest

from g_pt.report import axes, marks


def test_common_range_leaves_outliers_out():
  values = np.append(np.linspace(1.0, 2.0, 1000), [1e6, np.nan, np.inf])
  low, high = axes.common_range(values, values[:10])
  assert 0.9 < low < 1.0 and 2.0 < high < 2.1


@pytest.fixture
def empty():
  return lambda: marks.empty("steps", "loss")


def test_a_loss_that_falls_by_decades_is_seen_by_ratio(empty, loss):
  figure = axes.fit(empty(), [np.asarray([2.3, 0.5, 0.09, np.inf, 1e9])], 2.3, loss)
  assert figure.layout.yaxis.type == "log" and figure.layout.yaxis.title.text == "loss (logarithmic)"
  low, high = axes.ends(figure)
  assert 0.05 < low < 0.09 and 2.3 < high < 7
  assert figure.layout.yaxis.ticktext == ("0.1", "0.2", "0.5", "1", "2", "5")
  assert figure.layout.yaxis.tickvals == (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@pytest.mark.parametrize("values", [[2.3, 1.0], [2.3, 0.0]])  # no decade; none that ends
def test_other_losses_are_seen_by_difference(empty, loss, values):
  figure = axes.fit(empty(), [np.asarray([*values, 1e9, np.nan])], 2.3, loss)
  assert figure.layout.yaxis.type is None
  low, high = axes.ends(figure)
  assert min(values) - 0.3 < low < min(values) and 2.3 < high < 3.1


def test_a_return_is_seen_by_difference_with_its_best_on_top(empty, loss):
  reward = dataclasses.replace(loss, higher_is_better=True)
  figure = axes.fit(empty(), [np.asarray([20.0, 500.0, -1e9])], 20.0, reward)
  low, high = axes.ends(figure)
  assert figure.layout.yaxis.type is None and -140 < low < 20 and 500 < high < 550


def test_more_of_what_is_worse_is_shown_where_it_is_asked_for(empty, loss):
  values = [np.asarray([1.0, 2.0, 7.0])]
  little, more = (axes.ends(axes.fit(empty(), values, 2.0, loss, beyond))[1] for beyond in (0.25, 2.0))
  assert 2.25 < little < 2.5 and 4.0 < more < 4.5


def test_what_is_not_finite_has_an_axis_nevertheless(empty, loss):
  assert axes.ends(axes.fit(empty(), [np.full(3, np.nan)], np.nan, loss)) == (0.0, 1.0)
  low, high = axes.ends(axes.fit(empty(), [np.asarray([1.0, 2.0, 3.0])], np.nan, loss))
  assert low < 1 < 2 < high < 3
  assert axes.ends(axes.hold(empty(), [np.full(3, np.inf)], loss)) == (0.0, 1.0)


def test_all_but_the_outermost_are_held(empty, loss):
  values = np.append(np.geomspace(0.1, 2.0, 1000), 1e9)
  low, high = axes.ends(axes.hold(empty(), [values], loss))
  assert 0.07 < low < 0.1 and 2.0 < high < 3


def test_counts_are_named_one_by_one(empty):
  axis = axes.counts(empty(), [16, 1, 4, 4]).layout.xaxis
  assert axis.type == "log" and axis.tickvals == (1, 4, 16) and axis.ticktext == ("1", "4", "16")
  assert 10 ** axis.range[0] < 1 and 10 ** axis.range[1] > 16


def test_there_are_styles_for_all_inits():
  assert len(set(axes.styles(7))) == 7 and len(axes.styles(9)) == 9
  assert all(colour != marks.GPT for colour, _, _ in axes.STYLES)
