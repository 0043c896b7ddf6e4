"""One update beside hand-made optimizers, drawn and told."""

import dataclasses

import numpy as np
import pytest

from g_pt.report.base import View
from g_pt.report.sections import one_update
from g_pt.report.sections.one_update import Curve

DIGITS = {"task": "digits", "metric": "test_loss"}


def by_name(figure):
  return {trace.name: trace for trace in figure.data if trace.name is not None and trace.showlegend is not False}


@pytest.fixture
def curves(arrays):
  step, of = arrays["one_update"]["curve.adamw.step"], arrays["one_update"]
  return {
    "adamw": Curve(step, of["curve.adamw.recorded"], 0.01, 0.25, 30.4, (25.8, 34.6)),
    "sgd": Curve(step, of["curve.sgd.recorded"], 0.3, None, None, (480.2, None)),
  }


@pytest.fixture
def draw(arrays, loss):
  def draw(curves, metric=loss):
    levels = (arrays["one_update"][name] for name in ("start.recorded", "achieved.recorded"))
    return one_update.figure(*levels, curves, metric)

  return draw


def test_one_update_stands_at_one_step_with_its_range(arrays, draw, curves):
  figure = draw(curves)
  achieved = arrays["one_update"]["achieved.recorded"]
  (diamond,) = [trace for trace in figure.data if trace.marker.symbol == "diamond"]
  assert diamond.x == (1,) and diamond.y[0] == achieved.mean()
  np.testing.assert_allclose(diamond.y[0] + diamond.error_y.array[0], achieved.max())
  np.testing.assert_allclose(diamond.y[0] - diamond.error_y.arrayminus[0], achieved.min())
  level = by_name(figure)["G.pt, one update"]
  np.testing.assert_allclose(level.y, achieved.mean())
  assert np.log10(level.x[0]) < 0 and level.x[-1] == 700


def test_curves_start_at_step_zero_of_a_logarithmic_axis(arrays, draw, curves):
  step = arrays["one_update"]["curve.sgd.step"]
  figure = draw(curves | {"adamw": curves["adamw"]._replace(step=step[:5], metric=curves["adamw"].metric[:, :5])})
  curve = by_name(figure)["AdamW, learning rate 0.01, decay over 1/4 of the run"]
  np.testing.assert_allclose(curve.y, arrays["one_update"]["curve.adamw.recorded"][:, :5].mean(axis=0))
  np.testing.assert_array_equal(curve.x[1:], step[1:5])
  axis = figure.layout.xaxis
  assert axis.type == "log" and axis.ticktext[:3] == ("0", "1", "2")
  assert axis.tickvals[0] == curve.x[0] > 10 ** axis.range[0]
  assert axis.ticktext[-1] == "500" and 10 ** axis.range[1] > step[-1]  # of the longest curve


def test_the_legend_names_what_was_chosen(draw, curves):
  assert {"AdamW, learning rate 0.01, decay over 1/4 of the run", "SGD, learning rate 0.3, constant"} < set(
    by_name(draw(curves))
  )


def test_interpolated_steps_to_match_are_marked_with_their_interval(arrays, draw, curves):
  figure = draw(curves)
  (ring,) = [trace for trace in figure.data if trace.marker.symbol == "circle"]
  assert (ring.x[0], ring.y[0]) == (30.4, arrays["one_update"]["achieved.recorded"].mean())
  assert ring.x[0] + ring.error_x.array[0] == pytest.approx(34.6)
  assert ring.x[0] - ring.error_x.arrayminus[0] == pytest.approx(25.8)
  (label,) = [label for label in figure.layout.annotations if label.text == "AdamW: 30 steps"]
  assert label.x == pytest.approx(np.log10(30.4))  # annotations of a logarithmic axis take exponents
  assert not [label for label in figure.layout.annotations if "SGD" in label.text]


def test_an_interval_without_an_upper_end_leaves_the_axis(draw, curves):
  figure = draw(curves | {"adamw": curves["adamw"]._replace(interval=(0.0, None))})
  (ring,) = [trace for trace in figure.data if trace.marker.symbol == "circle"]
  axis = figure.layout.xaxis
  assert ring.x[0] + ring.error_x.array[0] > 10 ** axis.range[1]
  assert ring.x[0] - ring.error_x.arrayminus[0] == pytest.approx(axis.tickvals[0])  # where step 0 stands


@pytest.mark.parametrize("sign", [1, -1])
def test_axis_and_labels_follow_the_direction_of_the_metric(arrays, draw, curves, loss, sign):
  """A diverging optimizer leaves the axis, the better side never does."""
  metric = loss if sign == 1 else dataclasses.replace(loss, label="episode return", higher_is_better=True)
  for name in ("start.recorded", "achieved.recorded"):
    arrays["one_update"][name] = sign * arrays["one_update"][name]
  curves = {name: curve._replace(metric=sign * curve.metric) for name, curve in curves.items()}
  curves["adamw"].metric[:, 2] = sign * 1e9
  curves["sgd"].metric[:, 3] = np.nan
  figure = draw(curves, metric)
  assert all(np.isfinite(trace.y).all() for trace in figure.data if trace.fill == "toself")
  low, high = sorted(sign * np.asarray(figure.layout.yaxis.range))
  assert low < 0.12 and arrays["one_update"]["start.recorded"].max() * sign < high < 3.2
  assert all(np.sign(label.ay) == -sign for label in figure.layout.annotations)  # pixels count downwards


def test_each_part_of_the_data_has_its_figure_with_its_own_numbers(found, view, arrays):
  section = one_update.section(found("one_update"), view)
  assert list(section.figures) == [
    "Test loss (nats) over optimizer steps",
    "Test loss (nats) over optimizer steps, held-out data",
  ]
  for figure, part, steps in zip(section.figures.values(), ("recorded", "final"), (30.4, 28.7)):
    traces = by_name(figure)
    of = arrays["one_update"]
    np.testing.assert_allclose(traces["G.pt, one update"].y, of[f"achieved.{part}"].mean())
    curve = traces["SGD, learning rate 0.3, constant"]
    np.testing.assert_allclose(curve.y, of[f"curve.sgd.{part}"].mean(axis=0))
    assert [trace.x[0] for trace in figure.data if trace.marker.symbol == "circle"] == [steps]
  assert section.note == "Not as good within 700 steps: SGD; SGD on held-out data."


def test_numbers_have_a_column_for_each_part(found, view, summaries):
  numbers = one_update.tables(found("one_update"), view)[0]
  assert numbers.title == "One update, prompt 0.05"
  assert numbers.header == ("", "recorded data", "held-out data")
  assert numbers.rows == (
    ("test networks", "7", "7"),
    ("start, mean", "2.35", "2.33"),
    ("achieved, mean", "0.400", "0.450"),
    ("achieved, lowest to highest", "0.312 to 0.568", "0.330 to 0.600"),
    ("test error (%), mean", "12.3", "13.6"),
  )
  whole = {"test_loss": {"start": 2.0, "mean": 0.425, "lowest": 0.3, "highest": 0.6}}
  summaries["one_update"]["numbers"] = {"whole": whole} | summaries["one_update"]["numbers"]
  numbers = one_update.tables(found("one_update"), view)[0]
  assert numbers.header[1:] == ("recorded data", "held-out data", "whole test set")
  assert numbers.rows[2] == ("achieved, mean", "0.400", "0.450", "0.425")
  assert numbers.rows[4] == ("test error (%), mean", "12.3", "13.6", "-")


def test_optimizers_have_a_table_for_each_part(found, view):
  recorded, final = one_update.tables(found("one_update"), view)[1:]
  assert (recorded.title, final.title) == ("Optimizers", "Optimizers, held-out data")
  columns = ("learning rate", "decay", "best mean", "steps to match", "90 % interval", "after 1 step")
  assert recorded.header == ("", *columns)
  assert recorded.rows == (
    ("AdamW", "0.01", "1/4 of the run", "0.123", "30", "26 to 35", "2.20"),
    ("SGD", "0.3", "constant", "0.877", "not within 700 steps", "480 or more", "2.21"),
  )
  assert final.rows == (
    ("AdamW", "0.01", "1/4 of the run", "0.135", "29", "24 or more", "2.20"),
    ("SGD", "0.3", "constant", "0.900", "not within 700 steps", "-", "2.21"),
  )


def test_what_one_step_does_is_a_dash_where_it_is_not_known(found, view, summaries):
  optimizers = summaries["one_update"]["optimizers"]
  del optimizers["recorded"]["adamw"]["first_step"]  # a file of before it was kept
  optimizers["final"]["sgd"]["first_step"] = None  # no such point, or diverged
  recorded, final = one_update.tables(found("one_update"), view)[1:]
  assert [row[-1] for row in recorded.rows] == ["-", "2.21"]
  assert [row[-1] for row in final.rows] == ["2.20", "-"]


def test_a_published_mean_stands_below_that_of_the_whole_test_set(found, summaries):
  assert not [row for row in one_update.tables(found("one_update"), View.of(DIGITS))[0].rows if "published" in row[0]]
  view = View.of({"task": "mnist", "metric": "test_loss"})
  numbers = one_update.tables(found("one_update"), view)[0]
  assert ("published (Peebles et al. 2022), mean", "0.19 to 0.21", "-") in numbers.rows
  summaries["one_update"]["numbers"]["whole"] = summaries["one_update"]["numbers"]["final"]
  numbers = one_update.tables(found("one_update"), view)[0]
  assert ("published (Peebles et al. 2022), mean", "-", "-", "0.19 to 0.21") in numbers.rows


def test_key_numbers_name_the_fastest_optimizer(found, view, summaries):
  summaries["one_update"]["optimizers"]["recorded"]["sgd"] |= {"steps": 400.0, "interval": [300.0, 500.0]}
  update, worth = one_update.keys(found("one_update"), view)
  assert update.value == "2.35 → 0.400"
  assert update.label.endswith("mean of 7 test networks (0.450 after it on held-out data)")
  assert worth.value == "30 steps"
  assert worth.label == "of AdamW, the fastest optimizer here, to be as good (90 % interval: 26 to 35)"


@pytest.mark.parametrize(
  ("adamw", "sgd", "expected"),
  [(None, None, "> 700 steps"), (0.0, 3.0, "0 steps"), (1.04, None, "1 step"), (40.0, 2.34, "2.3 steps")],
)
def test_key_number_where_nothing_or_everything_matches(found, view, summaries, adamw, sgd, expected):
  optimizers = summaries["one_update"]["optimizers"]["recorded"]
  optimizers["adamw"]["steps"], optimizers["sgd"]["steps"] = adamw, sgd
  assert one_update.keys(found("one_update"), view)[1].value == expected


def test_a_task_without_optimizers_has_the_update_alone(found, view, summaries):
  summaries["one_update"]["optimizers"] = {"recorded": {}, "final": {}}
  summaries["one_update"]["optimizer_steps"] = None
  section = one_update.section(found("one_update"), view)
  assert not section.figures and section.note.startswith("This task names no optimizers")
  assert len(one_update.tables(found("one_update"), view)) == len(one_update.keys(found("one_update"), view)) == 1
