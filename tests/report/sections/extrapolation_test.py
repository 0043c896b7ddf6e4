"""Prompts beyond what was learned, drawn and told."""

import numpy as np
import pytest

from g_pt.report.base import View
from g_pt.report.sections import extrapolation

NAMES = {"recorded": "mean on recorded data", "final": "mean on held-out data"}


def by_name(figure):
  return {trace.name: trace for trace in figure.data if trace.showlegend is not False}


def test_both_parts_stand_against_the_prompt(found, view, arrays):
  figure = extrapolation.section(found("extrapolation"), view).figures["Achieved against prompted"]
  traces, of = by_name(figure), arrays["extrapolation"]
  np.testing.assert_array_equal(traces["perfect"].x, traces["perfect"].y)
  for part, name in NAMES.items():
    np.testing.assert_array_equal(traces[name].x, of["prompt"][::-1])  # from left to right
    np.testing.assert_allclose(traces[name].y, of[f"achieved.{part}"].mean(axis=0)[::-1])
    (band,) = [trace for trace in figure.data if trace.fill == "toself" and trace.name == name]
    low, high = np.quantile(of[f"achieved.{part}"][:, ::-1], [0.1, 0.9], axis=0)
    np.testing.assert_allclose(band.y, np.concatenate([high, low[::-1]]))
  assert set(traces["end of a training run, 0.300"].y) == {0.3}


@pytest.mark.parametrize(
  ("task", "edge", "best"), [("digits/test_loss", 0.2, 0.05), ("cartpole/episode_return", 0.7, 1.2)]
)
def test_what_lies_beyond_the_edge_is_shaded(found, summaries, task, edge, best):
  view = View.of(dict(zip(("task", "metric"), task.split("/"))))
  summaries["extrapolation"] |= {"edge": edge, "best_prompt": best}
  section = extrapolation.section(found("extrapolation"), view)
  for figure in section.figures.values():
    shade, line = figure.layout.shapes
    assert (line.x0, line.x1) == (edge, edge)
    assert {shade.x0, shade.x1} == {edge, best}
  whole, closer = (by_name(figure)[NAMES["recorded"]].x for figure in section.figures.values())
  beyond = view.metric.gain(whole) >= view.metric.gain(edge)
  assert len(closer) == beyond.sum() + 1 < len(whole) and set(whole[beyond]) < set(closer)


def test_nothing_beyond_is_said(found, view, summaries):
  summaries["extrapolation"]["edge"] = 0.05
  section = extrapolation.section(found("extrapolation"), view)
  assert len(section.figures) == 1 and "nothing lies beyond" in section.note
  (figure,) = section.figures.values()
  assert len(figure.layout.shapes) == 1  # the edge alone


def test_the_table_tells_of_each_side_of_the_edge(found, view):
  (table,) = extrapolation.tables(found("extrapolation"), view)
  assert table.header == ("", "at the edge", "best", "for the prompt", "slope within", "slope beyond")
  assert table.rows == (
    ("recorded data", "0.250", "0.234", "0.100", "0.988", "0.0123"),
    ("held-out data", "0.260", "0.240", "0.0500", "0.950", "-"),
  )


def test_the_caption_says_what_a_flat_line_means(found, view):
  caption = extrapolation.section(found("extrapolation"), view).caption
  assert "a flat line beyond the edge means that G.pt does not extrapolate" in caption
  assert "(0.200), and on to 0.05, shaded on the left" in caption
