"""How few evaluations a sample needs, drawn and told."""

import numpy as np

from g_pt.report import axes
from g_pt.report.sections import few_evaluations


def drawn(found, view):
  return few_evaluations.section(found("few_evaluations"), view).figures


def test_each_temperature_has_a_line_over_evaluations(found, view):
  figures = drawn(found, view)
  assert list(figures) == ["Prompt alignment, test runs", "Test loss (nats) after one update"]
  for figure, recorded in zip(figures.values(), ([(-9.5, 0.8), (-0.5, 0.7)], [(0.9, 0.1), (1.9, 0.2)])):
    lines = {trace.name: trace for trace in figure.data if trace.mode == "lines+markers"}
    for name, values in zip(("temperature 0.5", "temperature 1"), recorded):
      assert tuple(lines[name].x) == (1, 4) and tuple(lines[name].y) == values
      np.testing.assert_allclose(lines[f"{name}, held-out data"].y, np.multiply(values, 1.1))
    assert len({(line.line.color, line.line.dash) for line in lines.values()}) == 4
    assert figure.layout.xaxis.type == "log" and figure.layout.xaxis.tickvals == (1, 4)


def test_the_chosen_setting_has_a_ring(found, view):
  for figure, value in zip(drawn(found, view).values(), (0.8, 0.1)):
    (ring,) = [trace for trace in figure.data if trace.mode == "markers"]
    assert (ring.x[0], ring.y[0]) == (4, value)


def test_what_scores_less_than_doing_nothing_leaves_the_axis(found, view):
  low, high = axes.ends(drawn(found, view)["Prompt alignment, test runs"])
  assert -3.5 < low < -3 and 0.8 < high < 1.2


def test_the_table_has_every_row(found, view):
  (table,) = few_evaluations.tables(found("few_evaluations"), view)
  label = "test loss (nats)"
  measured = ("alignment", "alignment, held-out data", label, f"{label}, held-out data")
  assert table.header == ("", *measured, "variety", "novel and performant")
  assert table.rows == (
    ("temperature 0.5, 1 evaluation", "-9.50", "-10.5", "0.900", "0.990", "0.100", "0 %"),
    ("temperature 0.5, 4 evaluations, chosen", "0.800", "0.880", "0.100", "0.110", "0.200", "12.5 %"),
    ("temperature 1, 1 evaluation", "-0.500", "-0.550", "1.90", "2.09", "0.400", "0 %"),
    ("temperature 1, 4 evaluations", "0.700", "0.770", "0.200", "0.220", "0.800", "25 %"),
  )
