"""Steps after one update, drawn and told."""

import dataclasses

import numpy as np

from g_pt.report import axes
from g_pt.report.sections import further_steps
from g_pt.report.sections.further_steps import Curve

NAMES = {
  "initial": "initial networks",
  "update": "one G.pt update",
  "retrieval": "retrieved checkpoints",
  "soup": "soups of run ends",
}


def by_name(figure):
  return {trace.name: trace for trace in figure.data if trace.showlegend is not False}


def test_each_part_of_the_data_has_its_figure_with_a_line_for_each_start(found, view, arrays):
  section = further_steps.section(found("further_steps"), view)
  assert list(section.figures) == [
    "Test loss (nats) over further steps",
    "Test loss (nats) over further steps, held-out data",
  ]
  for figure, part in zip(section.figures.values(), ("recorded", "final")):
    lines, of = by_name(figure), arrays["further_steps"]
    for start, name in NAMES.items():
      np.testing.assert_allclose(lines[name].y, of[f"{start}.{part}"].mean(axis=0))
      np.testing.assert_array_equal(lines[name].x[1:], of[f"{start}.step"][1:])
      low, high = np.quantile(of[f"{start}.{part}"], [0.1, 0.9], axis=0)
      (band,) = [trace for trace in figure.data if trace.fill == "toself" and trace.name == name]
      np.testing.assert_allclose(band.y, np.concatenate([high, low[::-1]]))
    assert set(lines["end of a training run, 0.103"].y) == {0.1031}
    assert figure.layout.xaxis.ticktext[0] == "0" and figure.layout.xaxis.type == "log"


def test_starts_that_are_near_their_end_are_told_apart(found, view):
  """A linear axis from initial networks down would show all else as one line."""
  figure = next(iter(further_steps.section(found("further_steps"), view).figures.values()))
  low, high = axes.ends(figure)
  assert figure.layout.yaxis.type == "log" and 0.03 < low < 0.05 and 2.3 < high < 6


def test_a_diverging_start_leaves_the_axis(arrays, loss):
  of = arrays["further_steps"]
  curves = {start: Curve(of[f"{start}.step"], of[f"{start}.recorded"]) for start in NAMES}
  curves["soup"].metric[:, 3] = 1e9
  curves["soup"].metric[:, 4] = np.nan
  figure = further_steps.figure(curves, 0.1, loss)
  low, high = axes.ends(figure)
  assert 0.03 < low < 0.05 and 2.3 < high < 10
  assert all(np.isfinite(trace.y).all() for trace in figure.data if trace.fill == "toself")
  reward = dataclasses.replace(loss, higher_is_better=True)
  rising = {"initial": Curve(of["initial.step"], 5 - of["initial.recorded"])}
  low, high = axes.ends(further_steps.figure(rising, 4.0, reward))
  assert low < 2.8 and 4.8 < high < 5.5


def test_tables_tell_when_each_start_is_there(found, view):
  recorded, final = further_steps.tables(found("further_steps"), view)
  assert recorded.title == "Further steps (Nesterov, level 0.103)"
  assert final.title == "Further steps (Nesterov, level 0.103), held-out data"
  columns = ("at step 0", "steps to the level", "mean over log(1 + step)", "best")
  assert recorded.header == ("", "learning rate", "decay", *columns)
  assert recorded.rows == (
    ("initial networks", "0.3", "constant", "2.35", "457", "1.23", "0.0876"),
    ("one G.pt update", "0.1", "the whole run", "0.0912", "3.4", "0.0876", "0.0765"),
    ("retrieved checkpoints", "0.03", "the whole run", "0.0512", "0", "0.0501", "0.0495"),
    ("soups of run ends", "0.1", "1/4 of the run", "0.457", "not within 700 steps", "0.234", "0.123"),
  )
  assert final.rows[1][3:] == ("0.101", "3.4", "0.0976", "0.0865")


def test_the_caption_names_the_optimizer_and_its_fairness(found, view, summaries):
  caption = further_steps.section(found("further_steps"), view).caption
  assert caption.startswith("Nesterov is the optimizer")
  assert "learning rate and the decay chosen for it, on other networks" in caption
  assert "A line ends where" in caption
  summaries["further_steps"]["starts"]["soup"]["decay"] = 1.0
  assert "A line ends where" not in further_steps.section(found("further_steps"), view).caption
