"""Prompting again and again, drawn and told."""

import numpy as np
import pytest

from g_pt.report import axes
from g_pt.report.base import View
from g_pt.report.sections import recursion


def by_name(figure):
  return {trace.name: trace for trace in figure.data if trace.showlegend is not False}


@pytest.fixture
def drawn(found, view):
  def drawn():
    (figure,) = recursion.section(found("recursion"), view).figures.values()
    return figure

  return drawn


def test_every_init_has_a_line_of_its_own(drawn, arrays):
  lines = by_name(drawn())
  for name, init in (("the task's own", "own"), ("Xavier normal", "xavier_normal"), ("Kaiming fan-out",) * 2):
    of_init = arrays["recursion"]["kaiming_fan_out.recorded" if init == name else f"{init}.recorded"]
    np.testing.assert_array_equal(lines[name].y, of_init.mean(axis=0))
    np.testing.assert_array_equal(lines[name].x, np.arange(11))
  assert np.isnan(lines["Kaiming fan-out"].y[1])  # a gap
  looks = {(line.line.color, line.line.dash) for line in lines.values()}
  assert len(looks) == len(lines) == 4  # and the prompt
  (band,) = [trace for trace in drawn().data if trace.fill == "toself"]
  low, high = np.quantile(arrays["recursion"]["own.recorded"], [0.1, 0.9], axis=0)
  np.testing.assert_allclose(band.y, np.concatenate([high, low[::-1]]))


def test_far_off_values_leave_the_axis(drawn, arrays):
  arrays["recursion"]["kaiming_fan_out.recorded"][:, 0] = 1e30
  arrays["recursion"]["kaiming_fan_out.recorded"][0, 2] = np.inf
  low, high = axes.ends(drawn())
  assert 0.03 < low < 0.05 and 2.4 < high < 15


def test_the_prompt_is_shown_where_an_axis_by_ratio_gets_to_it(drawn, summaries):
  assert set(by_name(drawn())["the prompt, 0.05"].y) == {0.05} and axes.ends(drawn())[0] < 0.05
  summaries["recursion"]["prompt"] = 0.0
  assert not [name for name in by_name(drawn()) if "the prompt" in name]
  assert drawn().layout.yaxis.type == "log"


def test_other_inits_alone_are_drawn_too(found, view, summaries):
  del summaries["recursion"]["inits"]["own"]
  (figure,) = recursion.section(found("recursion"), view).figures.values()
  assert {"Xavier normal", "Kaiming fan-out"} <= set(by_name(figure))


def test_tables_have_a_row_for_each_init(found, view):
  recorded, final = recursion.tables(found("recursion"), view)
  assert recorded.header == final.header == ("", "start", "after 1", "after 3", "after 10")
  assert (recorded.title, final.title) == ("Updates from other inits", "Updates from other inits, held-out data")
  assert recorded.rows == (
    ("the task's own", "2.35", "0.0912", "0.0876", "0.0854"),
    ("Xavier normal", "2.50", "0.432", "0.222", "0.111"),
    ("Kaiming fan-out", "5.43", "-", "0.321", "0.123"),
  )
  assert final.rows[0][:2] == ("the task's own", "2.45")


def test_published_figures_stand_beside_those_of_the_same_task_and_metric(found):
  view = View.of({"task": "mnist", "metric": "test_error"})
  recorded, final = recursion.tables(found("recursion"), view)
  assert recorded.header[-1] == "published (Peebles et al. 2022)" and recorded.header[:-1] == final.header
  assert [row[-1] for row in recorded.rows] == [
    "about 6 after 1",
    "12 to 40 after 1, 6 to 9 after 3 or 4",
    "60 to 80 after 1, 7 to 13 after 10",
  ]
  assert "Peebles et al. 2022" in recursion.section(found("recursion"), view).caption
  other = View.of({"task": "mnist", "metric": "test_loss"})
  assert recursion.tables(found("recursion"), other)[0].header[-1] == "after 10"


@pytest.mark.parametrize(
  ("task", "value", "name"),
  [("digits/test_loss", "0.321", "Kaiming fan-out"), ("cartpole/episode_return", "0.0876", "the task's own")],
)
def test_the_key_number_is_of_the_worst_init(found, task, value, name):
  view = View.of(dict(zip(("task", "metric"), task.split("/"))))
  (key,) = recursion.keys(found("recursion"), view)
  assert key == (value, f"{view.metric.label} after 3 updates from the worst of 3 inits ({name})")


def test_a_mean_that_is_not_finite_is_the_worst(found, view, summaries):
  summaries["recursion"]["inits"]["xavier_normal"]["recorded"]["after"][1] = None
  (key,) = recursion.keys(found("recursion"), view)
  assert key.value == "diverged" and "(Xavier normal)" in key.label


def test_few_updates_have_no_key_number(found, view, summaries):
  summaries["recursion"]["updates"] = [1]
  for told in summaries["recursion"]["inits"].values():
    told["recorded"]["after"] = told["recorded"]["after"][:1]
  assert recursion.keys(found("recursion"), view) == ()
