"""The corpus and the model, drawn and told."""

import numpy as np

from g_pt.report.sections import corpus, model


def by_name(figure):
  return {trace.name: trace for trace in figure.data if trace.name is not None and trace.showlegend is not False}


def test_figures_show_quantiles_examples_and_histogram(found, view, arrays):
  over_steps, histogram = corpus.section(found("corpus"), view).figures.values()
  quantile, examples = arrays["corpus"]["quantile"], arrays["corpus"]["examples"]
  traces = by_name(over_steps)
  np.testing.assert_array_equal(traces["median"].y, quantile[1])
  np.testing.assert_array_equal(traces["90 % of runs"].y, np.concatenate([quantile[2], quantile[0][::-1]]))
  np.testing.assert_array_equal(np.reshape(traces["5 of the runs"].y, (5, 12))[:, :11], examples)
  (bars,) = histogram.data
  np.testing.assert_array_equal(bars.y, arrays["corpus"]["histogram_count"])
  np.testing.assert_allclose(bars.x - bars.width / 2, arrays["corpus"]["histogram_edge"][:-1])


def test_runs_are_counted_by_what_they_are_for(found, view, summaries):
  (table,) = corpus.tables(found("corpus"), view)
  assert table.rows == (
    ("runs", "4,321 (17 rejected)"),
    ("for training", "4,260"),
    ("for validation", "21"),
    ("for test", "23"),
    ("checkpoints of a run", "11"),
    ("end of a run, mean", "0.0988"),
    ("made in", "1 min 01 s"),
  )
  caption = corpus.section(found("corpus"), view).caption
  for words in ("4,321 runs of 11 checkpoints", "trained on 4,260", "21 validate", "23 test"):
    assert words in caption


def test_a_time_that_is_not_known_is_not_made_up(found, view, summaries):
  for name in ("corpus", "model"):
    del summaries[name]["seconds"]
  assert "made in" not in dict(corpus.tables(found("corpus"), view)[0].rows)
  assert model.tables(found("model"), view)[0].rows == (("parameters", "1,234,567"),)
  assert model.keys(found("model"), view) == (("1.23M", "parameters of G.pt"),)


def test_the_model_has_numbers_and_no_figures(found, view):
  assert model.section(found("model"), view) is None
  assert model.tables(found("model"), view)[0].rows == (("parameters", "1,234,567"), ("trained in", "1 h 02 min"))
  assert model.keys(found("model"), view) == (("1.23M", "parameters of G.pt, trained in 1 h 02 min"),)
