"""Prompt alignment, drawn and told."""

import dataclasses

import numpy as np
import pytest

from g_pt.report import marks
from g_pt.report.base import View
from g_pt.report.sections import alignment

MANY = 29  # more networks than are drawn one by one


def by_name(figure):
  return {trace.name: trace for trace in figure.data if trace.name is not None and trace.showlegend is not False}


def test_a_figure_shows_networks_mean_band_and_identity(arrays, loss):
  prompted = np.tile(arrays["alignment"]["test.prompted"], (5, 1))[:MANY]
  achieved = prompted + np.linspace(0.0, 0.2, MANY, dtype=np.float32)[:, None]
  figure = alignment.figure(prompted, achieved, loss, marks.GPT, (0.0, 2.5))
  traces = by_name(figure)
  np.testing.assert_allclose(traces["mean"].x, prompted.mean(axis=0), rtol=1e-6)
  np.testing.assert_allclose(traces["mean"].y, achieved.mean(axis=0), rtol=1e-6)
  np.testing.assert_array_equal(traces["perfect"].x, traces["perfect"].y)
  low, high = np.quantile(achieved, [0.1, 0.9], axis=0)
  np.testing.assert_allclose(traces["middle 80 %"].y, np.concatenate([high, low[::-1]]), rtol=1e-6)
  lines = np.reshape(traces["single networks"].y, (24, 6))  # a gap after each line
  np.testing.assert_array_equal(lines[:, :5], achieved[:24])
  assert np.isnan(lines[:, 5]).all()
  assert figure.layout.xaxis.title.text == "prompted test loss (nats)"
  assert figure.layout.yaxis.title.text == "achieved test loss (nats)"
  assert figure.layout.xaxis.range == figure.layout.yaxis.range == (0.0, 2.5)


def test_each_part_of_the_data_has_its_figure_with_its_own_numbers(found, view, arrays):
  drawn = alignment.section(found("alignment"), view).figures
  assert list(drawn) == [
    "Training runs: alignment 0.957",
    "Test runs: alignment -0.123",
    "Test runs, held-out data: alignment -0.200",
  ]
  for figure, part in zip(drawn.values(), ("train.achieved.recorded", "test.achieved.recorded", "test.achieved.final")):
    np.testing.assert_allclose(by_name(figure)["mean"].y, arrays["alignment"][part].mean(axis=0), rtol=1e-6)
  assert len({figure.layout.xaxis.range for figure in drawn.values()}) == 1


def test_the_table_has_a_row_for_each_part(found, view):
  (table,) = (table for table in alignment.tables(found("alignment"), view) if table.rows)
  assert table.header == ("", "mean", "90 % interval", "median")
  assert table.rows == (
    ("training runs", "0.957", "0.930 to 0.970", "0.980"),
    ("test runs", "-0.123", "-0.500 to 0.250", "0.120"),
    ("test runs, held-out data", "-0.200", "-0.600 to 0.200", "0.100"),
  )


@pytest.mark.parametrize(("others", "shown"), [(0.456, "0.456"), (None, "-")])
def test_networks_that_cannot_be_judged_are_counted(found, view, summaries, others, shown):
  summaries["alignment"]["test"]["final"] |= {"too_narrow": 3, "mean_of_others": others}
  scores, narrow, _ = alignment.tables(found("alignment"), view)
  assert len(scores.rows) == 3  # the mean over all networks stays first
  assert narrow.title == "Too near their best to judge"
  assert narrow.rows == (("test runs, held-out data", "3", shown),)


def test_parts_that_were_not_measured_are_left_out(found, view, summaries):
  del summaries["alignment"]["test"]["final"]
  section = alignment.section(found("alignment"), view)
  assert len(section.figures) == 2 and "held-out" not in section.caption
  (key,) = alignment.keys(found("alignment"), view)
  assert key == ("-0.123", "prompt alignment on test runs (0.957 on training runs)")


def test_the_key_number_stands_beside_the_others(found, view):
  (key,) = alignment.keys(found("alignment"), view)
  assert key == ("-0.123", "prompt alignment on test runs (0.957 on training runs, -0.200 on held-out data)")


@pytest.fixture
def without_model(summaries, arrays):
  """The files know what needs no model."""
  rng = np.random.default_rng(1)
  for way, mean in (("retrieval", 0.98765), ("interpolation", 0.87654)):
    summaries["alignment"][way] = {
      part: {"mean": mean, "interval": [0.8, 0.99], "median": mean, "too_narrow": 2, "mean_of_others": mean}
      for part in ("recorded", "final")
    }
    arrays["alignment"] |= {f"{way}.achieved.{part}": rng.uniform(0, 2, (7, 5)) for part in ("recorded", "final")}


def test_what_needs_no_model_stands_beside_test_runs(found, view, arrays, without_model):
  section = alignment.section(found("alignment"), view)
  train, *test = section.figures.values()
  names = ("nearest checkpoint of the corpus", "between start and best end")
  assert not set(names) & set(by_name(train)) and "need no model" in section.caption
  for figure, part in zip(test, ("recorded", "final")):
    for name, way in zip(names, ("retrieval", "interpolation")):
      line, of = by_name(figure)[name], arrays["alignment"]
      np.testing.assert_allclose(line.x, of["test.prompted"].mean(axis=0), rtol=1e-6)
      np.testing.assert_allclose(line.y, of[f"{way}.achieved.{part}"].mean(axis=0))
      assert line.line.dash != "solid"
  assert len({(figure.layout.height, figure.layout.margin.b) for figure in section.figures.values()}) == 1


def test_what_needs_no_model_has_rows(found, view, without_model):
  scores = alignment.tables(found("alignment"), view)[0]
  assert scores.rows[3:] == (
    ("nearest checkpoint of the corpus", "0.988", "0.800 to 0.990", "0.988"),
    ("nearest checkpoint of the corpus, held-out data", "0.988", "0.800 to 0.990", "0.988"),
    ("between start and best end", "0.877", "0.800 to 0.990", "0.877"),
    ("between start and best end, held-out data", "0.877", "0.800 to 0.990", "0.877"),
  )


def test_older_files_know_nothing_of_it(found, view):
  section = alignment.section(found("alignment"), view)
  assert "need no model" not in section.caption
  assert len(alignment.tables(found("alignment"), view)[0].rows) == 3


def test_published_alignment_stands_beside_that_of_the_same_task_and_metric(found, view):
  theirs = View.of({"task": "cifar10", "metric": "test_error"})
  table = alignment.tables(found("alignment"), theirs)[-1]
  assert "Peebles et al. 2022" in table.title
  assert table.rows[0] == ("width 64", "-2.71") and table.rows[-1] == ("width 2,048", "0.430")
  for other in (view, View.of({"task": "cifar10", "metric": "test_loss"})):
    assert not alignment.tables(found("alignment"), other)[-1].rows


@pytest.mark.parametrize("share", [1.0, 0.9])
@pytest.mark.parametrize("prompts", [2, 5, 20])
def test_unmoved_score_is_the_alignment_of_networks_left_alone(prompts, share):
  start, best = np.asarray([[2.3], [1.7]]), 0.05 if share == 1 else 0.0
  prompted = best + np.linspace(0, 1, prompts) * (share * start - best)
  residual = ((start - prompted) ** 2).sum(axis=1)
  spread = ((prompted - prompted.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
  np.testing.assert_allclose(alignment.unmoved_score(prompts, share), 1 - residual / spread, rtol=1e-9)


def test_the_caption_says_how_far_prompts_go(found, view):
  assert "asked for 5 values, from 0.05 to the one it has," in alignment.section(found("alignment"), view).caption
  metric = dataclasses.replace(view.metric, own_share=0.9)
  view = dataclasses.replace(view)
  vars(view)["metric"] = metric
  assert "to 90 % of the one it has," in alignment.section(found("alignment"), view).caption
