"""The corpus: how the metric moves over training runs, and how often each value occurs."""

from __future__ import annotations

from jaxtyping import Float, Int
import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import marks
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated
from g_pt.tasks.base import Metric


def section(found: Evaluated, view: View) -> Section:
  summary = found.summary
  arrays = {name: found.array(name) for name in ("step", "quantile", "examples")}
  drawn = {
    "Training runs": over_steps(**arrays, metric=view.metric),
    "How often each value occurs": histogram(
      found.array("histogram_count"), found.array("histogram_edge"), view.metric
    ),
  }
  caption = (
    f"{words.plural(summary['runs'], 'run')} of {words.plural(summary['checkpoints'], 'checkpoint')} each. G.pt is "
    f"trained on {words.count(summary['train_runs'])} of them, which are shown here; "
    f"{words.count(summary['validation_runs'])} validate it and the choice of its settings, and "
    f"{words.count(summary['test_runs'])} test it in the end."
  )
  return Section("The corpus it learned from", caption, drawn)


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  del view
  summary = found.summary
  runs = f"{words.count(summary['runs'])} ({words.count(summary['rejected'])} rejected)"
  rows = [
    ("runs", runs),
    ("for training", words.count(summary["train_runs"])),
    ("for validation", words.count(summary["validation_runs"])),
    ("for test", words.count(summary["test_runs"])),
    ("checkpoints of a run", words.count(summary["checkpoints"])),
    ("end of a run, mean", words.number(summary["final_mean"])),
  ]
  if summary.get("seconds") is not None:
    rows.append(("made in", words.duration(summary["seconds"])))
  return (Table("Corpus", (), tuple(rows)),)


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  del found, view
  return ()


def over_steps(
  step: Int[np.ndarray, "checkpoint"],
  quantile: Float[np.ndarray, "3 checkpoint"],
  examples: Float[np.ndarray, "run checkpoint"],
  metric: Metric,
) -> go.Figure:
  """Metric of the runs' checkpoints; `quantile` holds 5 %, the median and 95 % of runs."""
  x = marks.on_log(step)
  figure = marks.empty("training steps of a run (logarithmic)", metric.label)
  figure.add_trace(marks.band(x, quantile[0], quantile[2], marks.TRAINING_RUNS, "90 % of runs", alpha=0.25))
  shown = np.broadcast_to(x, examples.shape)
  figure.add_trace(marks.bundle(shown, examples, f"{len(examples)} of the runs", marks.TRAINING_RUNS))
  figure.add_trace(marks.line(x, quantile[1], "median", {"color": marks.TRAINING_RUNS, "width": 3}))
  return marks.log_steps(figure, int(step[-1]))


def histogram(count: Int[np.ndarray, "bin"], edge: Float[np.ndarray, "bin+1"], metric: Metric) -> go.Figure:
  """How many of the training runs' checkpoints have which metric."""
  figure = marks.empty(metric.label, "checkpoints")
  text = [f"{words.number(float(low))} to {words.number(float(high))}" for low, high in zip(edge[:-1], edge[1:])]
  figure.add_trace(
    go.Bar(
      x=(edge[:-1] + edge[1:]) / 2,
      y=count,
      width=np.diff(edge),
      marker={"color": marks.TRAINING_RUNS, "line": {"width": 0}},
      customdata=text,
      hovertemplate="%{customdata}: %{y:,} checkpoints<extra></extra>",
      showlegend=False,
    )
  )
  return figure.update_layout(bargap=0.04, hovermode="closest")
