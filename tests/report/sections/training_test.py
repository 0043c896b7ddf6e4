"""How G.pt learned, drawn."""

import numpy as np

from g_pt.report.results import Training
from g_pt.report.sections import training


def test_probes_show_what_doing_nothing_would_score():
  step, seconds = np.asarray([10, 20]), np.asarray([1.0, 2.0])
  bad = training.probes(step, np.asarray([-2.9, 0.5]), seconds, -2.7)
  good = training.probes(step, np.asarray([0.1, 0.5]), seconds, -2.7)
  unknown = training.probes(step, np.asarray([-2.9, 0.5]), seconds, None)
  assert [label.text for label in bad.layout.annotations] == ["perfect", "networks left as they are"]
  assert [label.text for label in good.layout.annotations] == ["perfect"]
  assert [label.text for label in unknown.layout.annotations] == ["perfect"]
  assert bad.layout.yaxis.title.text == "prompt alignment, validation runs"
  np.testing.assert_array_equal(bad.data[0].y, [-2.9, 0.5])
  assert bad.data[0].customdata == ("1.0 s", "2.0 s")


def test_probes_ask_for_the_prompts_of_the_evaluation(found, view, lines):
  for line in lines:
    if "prompt_alignment" in line:
      line["prompt_alignment"] -= 3
  logged = Training(tuple(lines))
  title, evaluated = "Prompt alignment, validation runs", {"alignment": found("alignment")}
  figure = training.section(logged, evaluated, view).figures[title]
  assert figure.layout.shapes[1].y0 == -2.0  # five prompts: 1 - 2 * 9 / 6
  figure = training.section(logged, {}, view).figures[title]
  assert len(figure.layout.shapes) == 1


def test_training_loss_is_smoothed_in_place():
  step = np.arange(10, 1010, 10)
  figure = training.losses(step, 0.001 * step, step / 2.0)
  raw, smooth = figure.data
  np.testing.assert_allclose(raw.y, 0.001 * step)
  # The mean of neighbours of a line lies on the line.
  np.testing.assert_allclose(smooth.y, 0.001 * smooth.x)
  assert figure.layout.yaxis.type == "log" and set(figure.layout.yaxis.ticktext) >= {"0.1", "0.5", "1"}


def test_a_short_training_is_not_smoothed():
  step = np.asarray([10, 20, 30])
  (raw,) = training.losses(step, np.asarray([0.48, 0.45, 0.42]), step / 2.0).data
  assert raw.name == "as logged"


def test_what_was_not_logged_leaves_a_note(view, lines):
  for line in lines:
    line.pop("prompt_alignment", None)
  section = training.section(Training(tuple(lines)), {}, view)
  assert list(section.figures) == ["Training loss"] and "train.probe_every" in section.note
  section = training.section(Training(tuple({"step": 1, "seconds": 2.0} for _ in lines)), {}, view)
  assert not section.figures and "train.log_every" in section.note
  assert training.section(Training(()), {}, view).note == "This workdir holds no training steps."
