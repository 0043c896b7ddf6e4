"""The axes that sections share."""

import numpy as np
import pytest

from g_pt.report import marks


@pytest.mark.parametrize(
  ("last", "expected"),
  [
    (700, ("0", "1", "2", "5", "10", "20", "50", "100", "200", "500")),
    (3600, ("0", "1", "3", "10", "30", "100", "300", "1,000", "3,000")),
  ],
)
def test_a_long_axis_has_fewer_ticks(last, expected):
  axis = marks.log_steps(marks.empty("steps", "loss"), last).layout.xaxis
  assert axis.ticktext == expected and axis.tickvals[-1] == float(expected[-1].replace(",", ""))


def test_no_step_stands_left_of_zero():
  x = marks.on_log(np.asarray([0.0, 0.1, 0.7, 1.0, 30.4]))
  assert x[0] == x[1] < x[2] == 0.7 and x[4] == 30.4


def test_a_band_holds_the_middle_of_networks():
  low, high = marks.middle(np.arange(11.0)[:, None] * np.asarray([1.0, 2.0]))
  np.testing.assert_allclose((low, high), [[1, 2], [9, 18]])
