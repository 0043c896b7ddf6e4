"""New networks, or training networks again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Float
import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import axes, marks, published
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated
from g_pt.tasks.base import SHARED_PARTS, Metric

_SAMPLES, _TRAINING, _UNSEEN = "samples", "training", "unseen"
_RECITED = 1.25  # ratio of samples' distances, different starts over one start, below which the start does not count
_JUDGED = (0.25, 1)  # how much worse, and how much farther, where samples are held against what needs no model


class Points(NamedTuple):
  """Networks of one kind."""

  x: Float[np.ndarray, "net"]
  metric: Float[np.ndarray, "net"]


def section(found: Evaluated, view: View) -> Section:
  summary, label = found.summary, words.capital(view.metric.label)
  by_field = {field: _points(found, field) for field in ("distance", "similarity")}
  drawn = {
    f"{label} and distance to the nearest training end": figure(
      by_field["distance"], "distance to the nearest training end", view.metric, summary["median_distance"]
    )
  }
  if by_field["similarity"]:
    x_title = "largest similarity of errors to a training end"
    drawn[f"{label} and similarity of errors"] = figure(by_field["similarity"], x_title, view.metric)
  return Section("New networks, or training networks again?", _caption(found), drawn, verdict(summary, view.metric))


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  summary = found.summary
  made = [_kinds(summary, view), _novel(summary)]
  recitation = summary["recitation"]
  distances = (
    ("samples of different starts", words.number(recitation["different_starts"])),
    ("samples of one start", words.number(recitation["one_start"])),
    ("training ends", words.number(recitation["ends"])),
    ("cosine of a sample's way and its run's way", words.number(recitation["cosine"])),
  )
  made.append(Table("Mean distance from each other", (), distances))
  ensembles = summary["ensembles"]
  header = ("", *(words.on_part(what, part) for part in SHARED_PARTS for what in ("one by one", "all as one")))
  rows = tuple(
    (label, *(words.number(ensembles[kind][part][what]) for part in SHARED_PARTS for what in ("single", "ensemble")))
    for kind, label in words.kinds(ensembles).items()
  )
  made.append(Table(f"Ensembles, {view.metric.label}", header, rows))
  theirs = published.of(published.NOVELTY, view)
  if theirs:
    made.append(Table("Published", ("", "value", "source"), theirs))
  return tuple(made)


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  del view
  label = "distance of samples from the nearest training end, relative to that among training ends (medians)"
  return (Key(f"{words.number(found.summary['ratio'])} ×", label),)


def figure(
  points: Mapping[str, Points], x_title: str, metric: Metric, median_distance: float | None = None
) -> go.Figure:
  """Metric of single networks against something else of them, samples in front."""
  drawn = marks.empty(x_title, metric.label)
  labels = words.kinds(points)
  looks = dict(zip((kind for kind in labels if kind != _SAMPLES), axes.styles(len(labels))))
  looks = {kind: (colour, symbol) for kind, (colour, _, symbol) in looks.items()} | {_SAMPLES: (marks.GPT, "diamond")}
  # What is drawn last stands in front; in the legend it keeps its place.
  rank = list(labels)
  for kind in sorted(labels, key=lambda kind: kind == _SAMPLES):
    colour, symbol = looks[kind]
    marker = {"color": colour, "symbol": symbol, "size": 9 if kind == _SAMPLES else 7, "opacity": 0.8}
    hover = f"{labels[kind]}<br>%{{x:.3g}}, %{{y:.3g}}<extra></extra>"
    drawn.add_trace(
      go.Scatter(
        x=points[kind].x,
        y=points[kind].metric,
        name=labels[kind],
        mode="markers",
        marker=marker,
        hovertemplate=hover,
        legendrank=rank.index(kind) + 1,
      )
    )
  axes.hold(drawn, [of_kind.metric for of_kind in points.values()], metric)
  if median_distance is not None:
    line = {"color": marks.NEUTRAL, "dash": "dash", "width": 1.5}
    name = f"median distance, {words.number(median_distance)}"
    across = [median_distance] * 2
    drawn.add_trace(marks.line(across, axes.ends(drawn), name, line, hoverinfo="skip", legendrank=len(rank) + 1))
  # Room for the legend, so that figures side by side are of one height.
  return drawn.update_layout(hovermode="closest", height=marks.HEIGHT + 170, margin={"b": 190})


def verdict(summary: Mapping[str, Any], metric: Metric) -> str:
  """What the audit found, in plain words, whichever way it falls."""
  return " ".join([_copied(summary), _recited(summary), _needs_model(summary), _performs(summary, metric)])


def _copied(summary: Mapping[str, Any]) -> str:
  ratio = words.number(summary["ratio"])
  if summary["ratio"] >= 1:
    return f"Samples are at least as far from the nearest training end as training ends are ({ratio} ×): no copies."
  return f"Samples are nearer to a training end than training ends are to each other ({ratio} ×)."


def _recited(summary: Mapping[str, Any]) -> str:
  told = summary["recitation"]
  numbers = f"{words.number(told['different_starts'])} and {words.number(told['one_start'])} apart"
  if told["different_starts"] < _RECITED * told["one_start"]:
    return f"Samples of different starts are as alike as those of one start ({numbers}): one network is recited."
  return f"Samples of different starts differ more than those of one start ({numbers}): where one starts counts."


def _needs_model(summary: Mapping[str, Any]) -> str:
  """Samples against every way to make networks of training ends alone, by the share that is novel and performant."""
  shares = next(row["shares"] for row in summary["novel_performant"] if (row["worse"], row["farther"]) == _JUDGED)
  labels = words.kinds(name for name in shares if name not in (_SAMPLES, _TRAINING, _UNSEEN))
  own = shares[_SAMPLES]
  told = [f"{label} ({words.share(shares[name])})" for name, label in labels.items() if shares[name] >= own > 0]
  if not own:
    told = [f"{label} ({words.share(shares[name])})" for name, label in labels.items() if shares[name] > 0]
    rest = f"of {words.listed(told)} some are" if told else "and nothing that is made without a model is, either"
    return f"No sample is both novel and performant; {rest}."
  if told:
    return (
      f"{words.share(own)} of the samples are novel and performant; without a model at least as many are of "
      f"{words.listed(told)}."
    )
  return f"{words.share(own)} of the samples are novel and performant, more than of anything made without a model."


def _performs(summary: Mapping[str, Any], metric: Metric) -> str:
  samples, unseen = (summary["sets"][kind]["final"] for kind in (_SAMPLES, _UNSEEN))
  as_good = metric.gain(samples) >= metric.gain(unseen)
  found = "as good as" if as_good else "worse than"
  numbers = f"{words.number(samples)} and {words.number(unseen)}"
  return f"On held-out data samples are {found} ends of unseen runs: {metric.label} {numbers}."


def _points(found: Evaluated, field: str) -> dict[str, Points]:
  """Of the kinds that have the field: nothing is right or wrong in some tasks."""
  every = {
    kind: Points(found.array(f"{kind}.{field}"), found.array(f"{kind}.recorded")) for kind in found.summary["sets"]
  }
  return {kind: points for kind, points in every.items() if np.isfinite(points.x).any()}


def _kinds(summary: Mapping[str, Any], view: View) -> Table:
  label = view.metric.label
  header = ("", label, words.on_part(label, "final"), "distance", "similarity of errors", "disagreement")
  rows = tuple(
    (
      name,
      *(words.number(summary["sets"][kind][field]) for field in ("recorded", "final", "distance", "similarity")),
      words.share(summary["sets"][kind]["disagreement"]),
    )
    for kind, name in words.kinds(summary["sets"]).items()
  )
  return Table("Novelty", header, rows)


def _novel(summary: Mapping[str, Any]) -> Table:
  """A row a kind, a column for each level of the metric and distance."""
  rows: Sequence[Mapping[str, Any]] = summary["novel_performant"]
  header = tuple(f"{words.share(row['worse'])}, {row['farther']} ×" for row in rows)
  labels = words.kinds(rows[0]["shares"]) if rows else {}
  body = ((label, *(words.share(row["shares"][kind]) for row in rows)) for kind, label in labels.items())
  return Table("Novel and performant (at most so much worse, so much farther)", ("", *header), tuple(body))


def _caption(found: Evaluated) -> str:
  summary = found.summary
  worse, farther = _JUDGED
  return (
    f"Samples for {words.setting(summary['prompt'])} from test runs' initial networks, beside {summary['references']} "
    f"ends of training runs and what can be made of these without a model (the audit of {published.AUDIT}). Distances "
    "are of weights, after hidden units are matched; dashed is the median distance of training ends from the nearest "
    "other. Similarity is the largest share of misclassified images in common with a training end, of those that "
    "either gets wrong; disagreement the share of inputs on which a network chooses otherwise than the training end "
    f"nearest to it. Novel and performant are networks at most {words.share(worse)} worse than the median training end "
    f"and farther from all of them than {farther} × their own median distance to the nearest other; the table has "
    "other bounds. Ends of unseen runs show what new networks are like."
  )
