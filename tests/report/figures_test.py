"""The figures show the arrays that they are given."""

import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import tasks
from g_pt.evaluation.alignment import prompt_alignment
from g_pt.report import figures
from g_pt.tasks.base import Metric

LOSS = tasks.get("digits").metric("test_loss")
RETURN = Metric("episode return", True, best_prompt=500.0, recursive_prompt=500.0)


def by_name(figure):
  return {trace.name: trace for trace in figure.data if trace.name is not None and trace.showlegend is not False}


def test_alignment_shows_networks_mean_band_and_identity(arrays):
  prompted, achieved = arrays["alignment.test.prompted"], arrays["alignment.test.achieved"]
  figure = figures.alignment(prompted, achieved, LOSS, figures.GPT, 3, (0.0, 2.5))
  traces = by_name(figure)
  np.testing.assert_allclose(traces["mean"].x, prompted.mean(axis=0), rtol=1e-6)
  np.testing.assert_allclose(traces["mean"].y, achieved.mean(axis=0), rtol=1e-6)
  np.testing.assert_array_equal(traces["perfect"].x, traces["perfect"].y)
  low, high = np.quantile(achieved, [0.1, 0.9], axis=0)
  np.testing.assert_allclose(traces["middle 80 %"].y, np.concatenate([high, low[::-1]]), rtol=1e-6)
  lines = np.reshape(traces["single networks"].y, (3, 6))  # a gap after each line
  np.testing.assert_array_equal(lines[:, :5], achieved[:3])
  assert np.isnan(lines[:, 5]).all()
  assert figure.layout.xaxis.title.text == "prompted test loss (nats)"
  assert figure.layout.yaxis.title.text == "achieved test loss (nats)"
  assert figure.layout.xaxis.range == figure.layout.yaxis.range == (0.0, 2.5)


def test_common_range_leaves_outliers_out():
  values = np.append(np.linspace(1.0, 2.0, 1000), [1e6, np.nan, np.inf])
  low, high = figures.common_range(values, values[:10])
  assert 0.9 < low < 1.0 and 2.0 < high < 2.1


@pytest.fixture
def curves(arrays):
  return {
    "adamw": figures.Curve(arrays["curves.adamw"], 0.01, 30),
    "sgd": figures.Curve(arrays["curves.sgd"], 0.3, None),
  }


def one_update(arrays, curves, metric=LOSS):
  return figures.one_update(
    arrays["one_update.start"], arrays["one_update.achieved"], arrays["curves.step"], curves, metric
  )


def test_one_update_stands_at_one_step_with_its_range(arrays, curves):
  figure = one_update(arrays, curves)
  achieved = arrays["one_update.achieved"]
  (diamond,) = [trace for trace in figure.data if trace.marker.symbol == "diamond"]
  assert diamond.x == (1,) and diamond.y[0] == achieved.mean()
  np.testing.assert_allclose(diamond.y[0] + diamond.error_y.array[0], achieved.max())
  np.testing.assert_allclose(diamond.y[0] - diamond.error_y.arrayminus[0], achieved.min())
  np.testing.assert_allclose(by_name(figure)["G.pt, one update"].y, achieved.mean())


def test_curves_start_at_step_zero_of_a_logarithmic_axis(arrays, curves):
  figure = one_update(arrays, curves)
  curve = by_name(figure)["AdamW, learning rate 0.01"]
  np.testing.assert_allclose(curve.y, arrays["curves.adamw"].mean(axis=0))
  np.testing.assert_array_equal(curve.x[1:], arrays["curves.step"][1:])
  axis = figure.layout.xaxis
  assert axis.type == "log" and axis.ticktext[:3] == ("0", "1", "2")
  assert axis.tickvals[0] == curve.x[0] > 10 ** axis.range[0]
  assert axis.ticktext[-1] == "500" and 10 ** axis.range[1] > arrays["curves.step"][-1]


def test_steps_to_match_are_marked(arrays, curves):
  figure = one_update(arrays, curves)
  rings = [trace for trace in figure.data if trace.marker.symbol == "circle"]
  assert [(ring.x[0], ring.y[0]) for ring in rings] == [(30, arrays["one_update.achieved"].mean())]
  (label,) = [label for label in figure.layout.annotations if label.text == "AdamW: 30 steps"]
  assert label.x == pytest.approx(np.log10(30))  # annotations of a logarithmic axis take exponents
  assert not [label for label in figure.layout.annotations if "SGD" in label.text]


@pytest.mark.parametrize(("metric", "sign"), [(LOSS, 1), (RETURN, -1)])
def test_axis_and_labels_follow_the_direction_of_the_metric(arrays, curves, metric, sign):
  """A diverging optimizer leaves the axis, the better side never does."""
  for name in ("start", "achieved"):
    arrays[f"one_update.{name}"] = sign * arrays[f"one_update.{name}"]
  curves = {name: curve._replace(metric=sign * curve.metric) for name, curve in curves.items()}
  curves["adamw"].metric[:, 2] = sign * 1e9
  curves["sgd"].metric[:, 3] = np.nan
  figure = one_update(arrays, curves, metric)
  assert all(np.isfinite(trace.y).all() for trace in figure.data if trace.fill == "toself")
  low, high = sorted(sign * np.asarray(figure.layout.yaxis.range))
  assert low < 0.12 and arrays["one_update.start"].max() * sign < high < 3.2
  assert all(np.sign(label.ay) == -sign for label in figure.layout.annotations)  # pixels count downwards


def test_probes_show_what_doing_nothing_would_score():
  step, seconds = np.asarray([10, 20]), np.asarray([1.0, 2.0])
  bad = figures.probes(step, np.asarray([-2.9, 0.5]), seconds, 20)
  good = figures.probes(step, np.asarray([0.1, 0.5]), seconds, 20)
  assert [label.text for label in bad.layout.annotations] == ["perfect", "networks left as they are"]
  assert [label.text for label in good.layout.annotations] == ["perfect"]
  np.testing.assert_array_equal(bad.data[0].y, [-2.9, 0.5])
  assert bad.data[0].customdata == ("1.0 s", "2.0 s")


@pytest.mark.parametrize("prompts", [2, 5, 20])
def test_unmoved_score_is_the_alignment_of_networks_left_alone(prompts):
  start = np.asarray([[2.3], [1.7]])
  prompted = 0.05 + np.linspace(0, 1, prompts) * (start - 0.05)
  expected = prompt_alignment(jnp.asarray(prompted), jnp.broadcast_to(start, prompted.shape))
  assert figures.unmoved_score(prompts) == pytest.approx(float(expected), rel=1e-5)


def test_training_loss_is_smoothed_in_place():
  step = np.arange(10, 1010, 10)
  figure = figures.training_loss(step, 0.001 * step, step / 2.0)
  raw, smooth = figure.data
  np.testing.assert_allclose(raw.y, 0.001 * step)
  # The mean of neighbours of a line lies on the line.
  np.testing.assert_allclose(smooth.y, 0.001 * smooth.x)
  assert figure.layout.yaxis.type == "log" and set(figure.layout.yaxis.ticktext) >= {"0.1", "0.5", "1"}


def test_a_short_training_is_not_smoothed():
  step = np.asarray([10, 20, 30])
  (raw,) = figures.training_loss(step, np.asarray([0.48, 0.45, 0.42]), step / 2.0).data
  assert raw.name == "as logged"


def test_corpus_shows_quantiles_examples_and_histogram(arrays):
  quantile, examples = arrays["corpus.quantile"], arrays["corpus.examples"]
  traces = by_name(figures.corpus_over_steps(arrays["corpus.step"], quantile, examples, LOSS))
  np.testing.assert_array_equal(traces["median"].y, quantile[1])
  np.testing.assert_array_equal(traces["90 % of runs"].y, np.concatenate([quantile[2], quantile[0][::-1]]))
  np.testing.assert_array_equal(np.reshape(traces["5 of the runs"].y, (5, 12))[:, :11], examples)
  count, edge = arrays["corpus.histogram_count"], arrays["corpus.histogram_edge"]
  (bars,) = figures.corpus_histogram(count, edge, LOSS).data
  np.testing.assert_array_equal(bars.y, count)
  np.testing.assert_allclose(bars.x - bars.width / 2, edge[:-1])
