"""Prompting over the course of training, drawn and told."""

import numpy as np
import pytest

from g_pt.report.sections import course


@pytest.fixture
def drawn(pictured, found, view):
  return course.section(found("course"), view)


def by_name(figure):
  return {trace.name: trace for trace in figure.data}


def test_a_slider_leads_through_the_steps_of_training(drawn, arrays):
  figure = drawn.figures["Achieved against prompted, by training step"]
  (slider,) = figure.layout.sliders
  assert [step.label for step in slider.steps] == ["1", "10", "100", "1,600"]
  assert [step.args[0] for step in slider.steps] == [(frame.name,) for frame in figure.frames]
  for frame, achieved in zip(figure.frames, arrays["course"]["achieved.recorded"]):
    single, mean = frame.data
    np.testing.assert_allclose(np.reshape(single.y, (3, 6))[:, :5], achieved, rtol=1e-5)
    np.testing.assert_allclose(mean.y, achieved.mean(axis=0))
    assert [figure.data[number].name for number in frame.traces] == ["single networks", "mean"]
  assert [frame.layout.annotations[0].text for frame in figure.frames] == [
    "step 1: alignment -1.99",
    "step 10: alignment -1.40",
    "step 100: alignment 0.470",
    "step 1,600: alignment 0.932",
  ]


def test_it_begins_at_the_last_step(drawn, arrays):
  figure = drawn.figures["Achieved against prompted, by training step"]
  assert figure.layout.sliders[0].active == 3
  assert figure.layout.annotations[0].text == "step 1,600: alignment 0.932"
  traces = by_name(figure)
  np.testing.assert_allclose(traces["mean"].y, arrays["course"]["achieved.recorded"][-1].mean(axis=0))
  np.testing.assert_allclose(traces["mean"].x, arrays["course"]["prompted"].mean(axis=0))
  assert traces["perfect"].x == traces["perfect"].y and traces["perfect"].line.dash == "dash"
  assert traces["single networks"].line.width < traces["mean"].line.width


def test_every_frame_lies_within_the_axes(drawn):
  figure = drawn.figures["Achieved against prompted, by training step"]
  low, high = figure.layout.yaxis.range
  assert all(low < value < high for frame in figure.frames for value in frame.data[1].y)


def test_alignment_over_training_has_both_parts_of_the_data(drawn):
  figure = drawn.figures["Prompt alignment over training"]
  traces = by_name(figure)
  np.testing.assert_array_equal(traces["recorded data"].x, [1, 10, 100, 1600])
  np.testing.assert_allclose(traces["recorded data"].y, [-1.987, -1.4, 0.47, 0.9321])
  np.testing.assert_allclose(traces["held-out data"].y, [-2.1, -1.5, 0.4, 0.9012])
  axis = figure.layout.xaxis
  assert axis.type == "log" and -0.5 < axis.range[0] <= 0 < np.log10(1600) < axis.range[1]


def test_a_step_far_below_doing_nothing_is_cut_off(pictured, found, view, summaries):
  summaries["course"]["recorded"][0] = -700.0
  figure = course.section(found("course"), view).figures["Prompt alignment over training"]
  assert -5 < figure.layout.yaxis.range[0] < -2  # 5 prompts: doing nothing scores -2


@pytest.mark.parametrize(
  ("steps", "expected"),
  [(4, ("step 1", "step 10", "step 1,600")), (2, ("step 1", "step 10")), (1, ("step 1",)), (0, ())],
)
def test_first_middle_and_last_are_told(pictured, found, view, summaries, steps, expected):
  for name in ("steps", "recorded", "final"):
    summaries["course"][name] = summaries["course"][name][:steps]
  (table,) = course.tables(found("course"), view)
  assert tuple(row[0] for row in table.rows) == expected
  assert table.rows[:1] in ((("step 1", "-1.99", "-2.10"),), ())


def test_without_younger_weights_there_is_a_note(pictured, found, view, summaries):
  summaries["course"] |= {"steps": [], "recorded": [], "final": []}
  section = course.section(found("course"), view)
  assert not section.figures and "imported" in section.note
