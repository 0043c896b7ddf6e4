"""The landscape between samples, drawn and told."""

import dataclasses

import numpy as np
import pytest

from g_pt.report.sections import landscape

PLANE, BARRIERS = "Test loss (nats) in the plane of the samples", "How much worse the way between two samples gets"


@pytest.fixture
def drawn(pictured, found, view):
  return landscape.section(found("landscape"), view).figures


def by_name(figure):
  return {trace.name: trace for trace in figure.data}


def test_the_map_holds_the_metric_itself_beside_its_colours(drawn, arrays):
  shown = by_name(drawn[PLANE])["landscape"]
  np.testing.assert_allclose(shown.customdata, arrays["landscape"]["landscape"], rtol=1e-6)
  np.testing.assert_array_equal(shown.x, arrays["landscape"]["x"])
  np.testing.assert_array_equal(shown.y, arrays["landscape"]["y"])
  assert "%{customdata" in shown.hovertemplate and shown.contours.coloring == "heatmap"
  assert shown.zmin <= shown.contours.start < shown.contours.end <= shown.zmax


def test_samples_and_start_lie_where_they_were_and_tell_their_metric(drawn, arrays):
  traces, of = by_name(drawn[PLANE]), arrays["landscape"]
  for name, at, metric in (("samples", "sample_at", "metric"), ("start", "start_at", "start_metric")):
    np.testing.assert_allclose(np.stack([traces[name].x, traces[name].y], axis=1), of[at])
    np.testing.assert_allclose(traces[name].customdata, of[metric])
    assert "%{customdata" in traces[name].hovertemplate
  assert traces["start"].marker.symbol == "star"


def test_colours_are_logarithmic_where_the_worst_is_many_times_the_best(loss):
  values = np.asarray([[0.1, 1.0], [2.0, 50.0]])
  colours = landscape.scaled(values, np.asarray([0.1]), 2.0, loss)
  np.testing.assert_allclose(colours.values[0], [-1, 0])
  # What is far worse than the start takes no colours from the rest.
  assert colours.low == -1 and colours.values.max() == colours.high == pytest.approx(np.log10(2.0 + 0.25 * 1.9))
  assert all(colours.low <= tick <= colours.high for tick in colours.ticks) and "1" in colours.labels


def test_colours_are_plain_where_all_is_about_the_same(loss):
  values = np.asarray([[1.0, 1.2], [1.4, 1.9]])
  colours = landscape.scaled(values, np.asarray([1.1]), 2.3, loss)
  np.testing.assert_array_equal(colours.values, values)
  assert (colours.low, colours.high) == (1.0, 1.9)


def test_an_error_of_zero_has_a_colour(loss):
  colours = landscape.scaled(np.asarray([[0.0, 2.0], [90.0, 95.0]]), np.asarray([2.5]), 90.0, loss)
  assert np.isfinite(colours.values).all() and colours.values[0, 0] == colours.values[0, 1] == np.log10(2.0)


def test_a_higher_metric_is_dark_where_higher_is_better(pictured, found, view, loss, arrays):
  reward = dataclasses.replace(loss, label="return", higher_is_better=True)
  arrays["landscape"]["landscape"] = 500 - 200 * arrays["landscape"]["landscape"]
  arrays["landscape"] |= {"metric": np.full(6, 480.0), "start_metric": np.asarray([20.0])}
  shown = by_name(landscape.over_plane(found("landscape"), reward))["landscape"]
  assert shown.reversescale and shown.zmax == pytest.approx(500 - 200 * 0.06, rel=0.1)
  assert shown.zmin == pytest.approx(20 - 0.25 * (shown.zmax - 20))
  assert not by_name(landscape.over_plane(found("landscape"), loss))["landscape"].reversescale


def test_networks_that_diverge_leave_holes(loss):
  values = np.asarray([[np.nan, 1.2], [1.4, np.inf]])
  colours = landscape.scaled(values, np.asarray([1.1]), 2.3, loss)
  assert np.isnan(colours.values[0, 0]) and np.isfinite([colours.low, colours.high]).all()


def test_each_pair_of_samples_is_counted_once(drawn):
  figure = drawn[BARRIERS]
  assert sum(figure.data[0].y) == 6  # of 4 samples
  centres, width = np.asarray(figure.data[0].x), figure.data[0].width[0]
  assert sum(figure.data[0].y[centres + width / 2 <= 0.111 + width]) == 2
  (threshold,) = figure.layout.shapes
  assert threshold.x0 == threshold.x1 == 0.111 < centres[-1] + width / 2


def test_tables_tell_basins_and_what_an_ensemble_gains(pictured, found, view):
  samples, together = landscape.tables(found("landscape"), view)
  assert samples.rows == (
    ("samples of one start", "6"),
    ("share of their variance in the plane", "61 %"),
    ("median barrier between two", "1.30"),
    ("barrier of one basin, at most", "0.111"),
    ("basins that 4 samples lie in", "2"),
  )
  assert together.header == ("", "recorded data", "held-out data")
  assert together.rows == (("single sample, mean", "0.0801", "0.0899"), ("ensemble of samples", "0.0612", "0.0711"))


def test_the_caption_says_how_many_basins(pictured, found, view):
  assert "4 samples lie in 2 basins" in landscape.section(found("landscape"), view).caption
