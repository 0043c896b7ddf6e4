"""The audit of novelty, drawn and told, whichever way it falls."""

import copy

import numpy as np
import pytest

from g_pt.report import axes
from g_pt.report.base import View
from g_pt.report.sections import novelty

NAMES = {
  "training": "training ends",
  "unseen": "ends of unseen runs",
  "samples": "samples of G.pt",
  "interpolation": "between two training ends",
  "soup": "soups of training ends",
  "retrieval": "retrieved checkpoints",
  "noise 0.05": "training ends, noise 0.05",
}


def test_figures_show_every_network(found, view, arrays):
  section = novelty.section(found("novelty"), view)
  assert list(section.figures) == [
    "Test loss (nats) and distance to the nearest training end",
    "Test loss (nats) and similarity of errors",
  ]
  for figure, field in zip(section.figures.values(), ("distance", "similarity")):
    points = {trace.name: trace for trace in figure.data if trace.mode == "markers"}
    assert set(points) == set(NAMES.values())
    for kind, name in NAMES.items():
      np.testing.assert_array_equal(points[name].x, arrays["novelty"][f"{kind}.{field}"])
      np.testing.assert_array_equal(points[name].y, arrays["novelty"][f"{kind}.recorded"])
    assert list(points)[-1] == "samples of G.pt"  # in front
    assert len({(trace.marker.color, trace.marker.symbol) for trace in points.values()}) == len(points)


def test_the_median_distance_is_a_line_from_end_to_end(found, view):
  of_distance, of_similarity = novelty.section(found("novelty"), view).figures.values()
  (line,) = [trace for trace in of_distance.data if trace.mode == "lines"]
  assert line.name == "median distance, 4.57"
  assert set(line.x) == {4.5678} and tuple(line.y) == axes.ends(of_distance)
  assert not [trace for trace in of_similarity.data if trace.mode == "lines"]


def test_where_nothing_is_right_or_wrong_there_is_no_similarity(found, summaries, arrays):
  view = View.of({"task": "cartpole", "metric": "episode_return"})
  for kind in NAMES:
    arrays["novelty"][f"{kind}.similarity"] = np.full(7, np.nan)
    summaries["novelty"]["sets"][kind]["similarity"] = None
  assert list(novelty.section(found("novelty"), view).figures) == [
    "Mean return and distance to the nearest training end"
  ]
  kinds = novelty.tables(found("novelty"), view)[0]
  assert {row[4] for row in kinds.rows} == {"-"}


def test_tables_have_what_was_judged(found, view):
  kinds, novel, distances, ensembles = novelty.tables(found("novelty"), view)
  label = "test loss (nats)"
  assert kinds.header == ("", label, f"{label}, held-out data", "distance", "similarity of errors", "disagreement")
  assert [row[0] for row in kinds.rows] == list(NAMES.values())
  assert kinds.rows[2] == ("samples of G.pt", "0.0912", "0.0834", "4.81", "0.457", "4.12 %")
  assert novel.header == ("", "0 %, 1 ×", "25 %, 1 ×")
  assert ("samples of G.pt", "37.5 %", "62.5 %") in novel.rows
  assert ("soups of training ends", "0 %", "12.5 %") in novel.rows
  assert distances.rows == (
    ("samples of different starts", "4.90"),
    ("samples of one start", "2.10"),
    ("training ends", "5.20"),
    ("cosine of a sample's way and its run's way", "0.346"),
  )
  assert ensembles.header[1:3] == ("one by one", "all as one")
  assert ensembles.rows[1] == ("samples of G.pt", "0.0912", "0.0701", "0.0912", "0.0701")


def test_published_figures_stand_beside_those_of_mnist(found, view):
  published = novelty.tables(found("novelty"), View.of({"task": "mnist", "metric": "test_loss"}))[-1]
  assert ("ratio of the two", "0.62", "Zeng et al. 2025") in published.rows
  assert "unreviewed" in published.rows[-1][2]
  assert "Published" not in [table.title for table in novelty.tables(found("novelty"), view)]


def test_the_key_number_is_the_ratio_of_distances(found, view):
  (key,) = novelty.keys(found("novelty"), view)
  assert key.value == "1.05 ×" and "nearest training end" in key.label


@pytest.fixture
def verdict(summaries, loss):
  """What is said after a change of the summary."""

  def verdict(change=lambda summary: None, metric=loss):
    summary = copy.deepcopy(summaries["novelty"])
    change(summary)
    return novelty.verdict(summary, metric)

  return verdict


def shares(**of_kind):
  return lambda summary: summary["novel_performant"][1]["shares"].update(of_kind)


def test_the_best_that_can_be_found(verdict):
  assert verdict() == (
    "Samples are at least as far from the nearest training end as training ends are (1.05 ×): no copies. Samples of "
    "different starts differ more than those of one start (4.90 and 2.10 apart): where one starts counts. 62.5 % of "
    "the samples are novel and performant, more than of anything made without a model. On held-out data samples are "
    "as good as ends of unseen runs: test loss (nats) 0.0834 and 0.0923."
  )


@pytest.mark.parametrize(("ratio", "copies"), [(0.62, False), (0.9999, False), (1.0, True)])
def test_whether_samples_are_copies(verdict, ratio, copies):
  text = verdict(lambda summary: summary.update(ratio=ratio))
  assert ("no copies" in text) == copies != ("nearer to a training end" in text)


@pytest.mark.parametrize(("different", "recited"), [(2.62, True), (2.63, False), (1.0, True)])
def test_whether_one_network_is_recited(verdict, different, recited):
  text = verdict(lambda summary: summary["recitation"].update(different_starts=different))
  assert ("one network is recited" in text) == recited != ("where one starts counts" in text)


@pytest.mark.parametrize(
  ("kind", "name"),
  [("soup", "soups"), ("interpolation", "between two"), ("retrieval", "retrieved"), ("noise 0.05", "noise 0.05")],
)
def test_what_needs_no_model_and_is_as_often_novel_and_performant_is_named(verdict, kind, name):
  text = verdict(shares(**{kind: 0.625}))  # as often is enough
  assert "without a model at least as many are of" in text and name in text and "(62.5 %)" in text
  assert "more than of anything" not in text
  assert "more than of anything" in verdict(shares(**{kind: 0.6}))


def test_ends_of_runs_need_no_beating(verdict):
  assert "more than of anything made without a model" in verdict(shares(training=0.9, unseen=0.9))


def test_where_no_sample_is_novel_and_performant(verdict):
  assert "No sample is both novel and performant; of soups of training ends (12.5 %) some are." in verdict(
    shares(samples=0.0)
  )
  assert "nothing that is made without a model is, either." in verdict(shares(samples=0.0, soup=0.0))


@pytest.mark.parametrize(("samples", "better"), [(0.0923, True), (0.0924, False)])
@pytest.mark.parametrize("higher", [False, True])
def test_whether_samples_do_as_well_as_new_runs(verdict, samples, better, higher):
  sign = -1 if higher else 1
  metric = View.of({"task": "cartpole", "metric": "episode_return"}).metric if higher else None

  def change(summary):
    summary["sets"]["samples"]["final"] = sign * samples
    summary["sets"]["unseen"]["final"] = sign * 0.0923

  text = verdict(change, metric) if metric else verdict(change)
  assert ("as good as ends of unseen runs" in text) == better != ("worse than ends of unseen runs" in text)


def test_the_verdict_stands_on_the_page(found, view, verdict):
  assert novelty.section(found("novelty"), view).note == verdict()
