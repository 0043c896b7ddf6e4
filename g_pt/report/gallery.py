"""Several workdirs beside each other: one offline page with a row each.

    python -m g_pt.report.gallery runs/digits_loss runs/wide --out=report/gallery.html

Each must have been evaluated; what an evaluation that is not there would tell
is left out. Links lead to the workdirs' own reports, relative to the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import Float
import numpy as np
import plotly.graph_objects as go

from g_pt import command, words, workdir
from g_pt.errors import UserError
from g_pt.report import marks, markup, page, results
from g_pt.report.base import Section, Table, View
from g_pt.report.markup import Part
from g_pt.report.results import Evaluated
from g_pt.tasks.base import SHARED_PARTS

_EVALUATIONS = ("alignment", "one_update", "novelty", "model")
_PLACES = ("corpus.path", "data_dir")  # fields that tell where things lie, not what they are
_LARGEST = 15_000_000  # bytes
_COLOURS = (marks.GPT, marks.TRAINING_RUNS, "#0E9A73", "#B2589A", "#A67C00", marks.NEUTRAL)
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


class Run(NamedTuple):
  """One workdir and what its row tells of."""

  name: str
  directory: Path
  values: Mapping[str, Any]  # its resolved configuration
  view: View
  found: Mapping[str, Evaluated]

  def summary(self, name: str) -> Mapping[str, Any]:
    """Of an evaluation; empty where it is not there."""
    return self.found[name].summary if name in self.found else {}


class Curve(NamedTuple):
  """The mean metric that test networks got, by what they were asked for."""

  prompted: Float[np.ndarray, "prompt"]
  achieved: Float[np.ndarray, "prompt"]


def read(directory: Path, name: str) -> Run:
  """UserError, naming it, where a folder is no evaluated workdir."""
  values = workdir.read_json(directory / workdir.CONFIG)
  if values is None:
    raise UserError(f"{directory}: no evaluated workdir: it has no {workdir.CONFIG}")
  file = directory / workdir.CONFIG
  if not isinstance(values, dict) or not {"task", "metric"} <= values.keys():
    raise UserError(f"{file}: not the configuration of an experiment: it names no task and metric")
  try:
    view = View.of(values)
    view.task.metric(view.name)
  except ValueError as error:
    raise UserError(f"{file}: not the configuration of an experiment: {error}") from None
  return Run(name, directory, values, view, results.evaluations(directory, _EVALUATIONS))


def write(directories: Sequence[Path], out: Path) -> None:
  """Writes the page, whole or not at all; UserError where a folder is no evaluated workdir."""
  distinct = list(dict.fromkeys(Path(os.path.normpath(directory)) for directory in directories))
  runs = [read(directory, str(directory)) for directory in distinct]
  links = {run.name: _address(run.directory / workdir.REPORT, out) for run in runs}
  links = {name: address for name, address in links.items() if address}
  parts = [Part("runs", "Runs", _explained() + markup.tables([comparison(runs)], links))]
  curves = {run.name: curve for run in runs if (curve := _curve(run)) is not None}
  if curves:
    parts.append(markup.section("alignment", _alignment(runs, curves), first=0))
  parts.append(Part("settings", "Where their settings differ", _settings(runs, links)))
  parts.append(Part("origin", "How this page was made", _origin(distinct, out)))
  lead = markup.paragraph(
    "Each row is a G.pt: a diffusion model that trains small networks in one update, given the metric that is wanted. "
    "A row's name leads to the report of its own."
  )
  content = markup.page(f"G.pt: {words.plural(len(runs), 'run')} compared", lead, parts)
  page.refuse_large(out, content, parts, _LARGEST)
  workdir.write_bytes(out, content)


def comparison(runs: Sequence[Run]) -> Table:
  """A row each; a dash is what was not evaluated."""
  header = (
    "",
    "task",
    "metric",
    "alignment",
    "on held-out data",
    "one update",
    "on held-out data",
    "steps to match",
    "novelty ratio",
    "parameters",
    "trained in",
  )
  return Table("Measured on test runs and fresh networks", header, tuple(_row(run) for run in runs))


def differing(runs: Sequence[Run]) -> Table:
  """The settings that are not the same in all runs: a row each, a column a run."""
  flat = [_flat(run.values) for run in runs]
  names = sorted({name for one in flat for name in one} - set(_PLACES))
  cells = {name: tuple(json.dumps(one[name]) if name in one else "-" for one in flat) for name in names}
  rows = tuple((name, *of_name) for name, of_name in cells.items() if len(set(of_name)) > 1)
  return Table("Setting", ("", *(run.name for run in runs)), rows)


def figure(curves: Mapping[str, Curve], label: str | None) -> go.Figure:
  """Achieved against prompted, a line each; without a label that all share, as shares of each one's range."""
  of = label or "share of the range of prompts"
  drawn = marks.empty(f"prompted {of}", f"achieved {of}")
  if label is None:
    curves = {name: Curve(*(_shares(part, curve.prompted) for part in curve)) for name, curve in curves.items()}
  ends = np.concatenate([curve.prompted for curve in curves.values()])
  ends = [float(ends.min()), float(ends.max())]
  line = {"color": marks.NEUTRAL, "dash": "dash"}
  drawn.add_trace(go.Scatter(x=ends, y=ends, mode="lines", name="perfect", line=line, hoverinfo="skip"))
  for i, (name, curve) in enumerate(curves.items()):
    # Another dash once all colours were had.
    style = {"color": _COLOURS[i % len(_COLOURS)], "dash": _DASHES[i // len(_COLOURS) % len(_DASHES)], "width": 2.5}
    hover = "prompted %{x:.3g}<br>achieved %{y:.3g}"
    drawn.add_trace(marks.line(curve.prompted, curve.achieved, name, style, "lines+markers", hovertemplate=hover))
  return drawn.update_layout(hovermode="closest", height=marks.HEIGHT + 130)


def _row(run: Run) -> tuple[str, ...]:
  test, update, model = run.summary("alignment").get("test", {}), run.summary("one_update"), run.summary("model")
  numbers = {part: of_part.get(run.view.name) for part, of_part in update.get("numbers", {}).items()}
  recorded, final = numbers.get("recorded"), numbers.get("final")
  seconds, parameters = model.get("seconds"), model.get("parameters")
  return (
    run.name,
    run.view.task.name,
    run.view.metric.label,
    *(words.number(test.get(part, {}).get("mean")) for part in SHARED_PARTS),
    f"{words.number(recorded['start'])} → {words.number(recorded['mean'])}" if recorded else "-",
    words.number(final["mean"]) if final else "-",
    _fastest(update),
    words.number(run.summary("novelty").get("ratio")),
    words.short_count(parameters) if parameters else "-",
    words.duration(seconds) if seconds is not None else "-",
  )


def _fastest(update: Mapping[str, Any]) -> str:
  """The optimizer that needs the fewest steps to be as good as one update, on recorded data."""
  optimizers = update.get("optimizers", {}).get("recorded") or {}
  if not optimizers:
    return "-"
  reached = [(chosen["steps"], name) for name, chosen in optimizers.items() if chosen["steps"] is not None]
  if not reached:
    return words.steps_to_match(None, update["optimizer_steps"])
  steps, name = min(reached)
  return f"{words.steps(steps)} ({words.optimizer(name)})"


def _curve(run: Run) -> Curve | None:
  if "alignment" not in run.found:
    return None
  names = ("test.prompted", "test.achieved.recorded")
  return Curve(*(run.found["alignment"].array(name).mean(axis=0) for name in names))


def _alignment(runs: Sequence[Run], curves: Mapping[str, Curve]) -> Section:
  labels = {run.view.metric.label for run in runs if run.name in curves}
  label = labels.pop() if len(labels) == 1 else None
  caption = (
    "Means over the initial networks of test runs, on recorded data: what networks got in one update for what was "
    "asked for. On the dashed line each gets just that."
  )
  if label is None:
    caption += " These runs are of different metrics: 0 is the best value asked for, 1 the networks' own."
  return Section("Achieved against prompted", caption, {"Means of all runs": figure(curves, label)}, wide=True)


def _shares(values: Float[np.ndarray, "prompt"], prompted: Float[np.ndarray, "prompt"]) -> Float[np.ndarray, "prompt"]:
  """0 at the first prompt, the best value, 1 at the last."""
  return (values - prompted[0]) / ((prompted[-1] - prompted[0]) or 1.0)


def _settings(runs: Sequence[Run], links: Mapping[str, str]) -> str:
  table = differing(runs)
  if not table.rows:
    return markup.paragraph("In nothing but where their files lie.", "caption")
  return markup.tables([table], links)


def _explained() -> str:
  return markup.paragraph(
    "Alignment: 1 is perfect. One update: the metric before and after it, at the best prompt. Steps to match: of the "
    "fastest hand-made optimizer, to be as good as one update. Novelty ratio: how far samples are from the nearest "
    "training network, by how far these are from each other: near 0 they are copies. Held-out data: nothing was "
    "chosen by it. A dash: not evaluated.",
    "caption",
  )


def _origin(directories: Sequence[Path], out: Path) -> str:
  folders = " ".join(map(str, directories))
  made = markup.preformatted(f"python -m g_pt.report.gallery {folders} --out={out}")
  return made + markup.paragraph(page.libraries(), "caption")


def _address(report: Path, out: Path) -> str | None:
  """Of a report, from the page's folder; None where there is none."""
  return Path(os.path.relpath(report, out.parent)).as_posix() if report.exists() else None


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """The fields of a configuration by their dotted names."""
  flat = {}
  for name, value in values.items():
    flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
  return flat


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m g_pt.report.gallery")
  parser.add_argument("runs", nargs="+", type=Path, metavar="WORKDIR", help="evaluated workdirs, a row each")
  parser.add_argument("--out", required=True, type=Path, help="the page to write, an HTML file")
  given = parser.parse_args(arguments)
  write(given.runs, given.out)
  print(f"gallery: {given.out}")


if __name__ == "__main__":
  command.run(main, "gallery")
