"""Intervals over networks: as wide as theory has it, the same every time, open where there is no number."""

import numpy as np
import pytest

from g_pt.bootstrap import interval, mean_interval


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
  values = np.random.default_rng(1).normal(3.0, 2.0, 400)
  low, high = mean_interval(values)
  # 1.645 standard errors on either side; a thousand resamples leave a few percent of noise.
  error = values.std() / np.sqrt(len(values))
  assert low == pytest.approx(values.mean() - 1.645 * error, abs=0.15 * error)
  assert high == pytest.approx(values.mean() + 1.645 * error, abs=0.15 * error)


def test_the_same_networks_have_the_same_interval():
  values = np.random.default_rng(2).normal(size=7)
  assert mean_interval(values) == mean_interval(values.copy())


def test_networks_that_are_alike_have_no_width():
  assert mean_interval(np.full(5, 0.25)) == [0.25, 0.25]


def test_every_network_is_drawn_and_with_replacement():
  seen = []
  interval(lambda drawn: seen.append(drawn) or np.zeros(len(drawn)), 6)
  (drawn,) = seen
  assert drawn.shape[1] == 6
  np.testing.assert_allclose(np.bincount(drawn.ravel()) / drawn.size, 1 / 6, atol=0.01)
  assert (np.diff(np.sort(drawn, axis=1), axis=1) == 0).any(axis=1).mean() > 0.9


@pytest.mark.parametrize(("share", "ends"), [(0.04, (True, True)), (0.06, (True, False)), (0.96, (False, False))])
def test_what_a_resample_lacks_is_beyond_all_numbers(share, ends):
  def statistic(drawn):
    count = len(drawn)
    return np.where(np.arange(count) < share * count, np.nan, np.linspace(1, 2, count))

  assert tuple(end is not None for end in interval(statistic, 3)) == ends
