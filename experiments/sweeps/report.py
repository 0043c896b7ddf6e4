"""What a sweep found: a table of its points, slopes along its axes, and one page with both.

  command   python -m experiments.sweeps.report --workdir=runs/sweeps/digits

Writes report/index.html, which opens offline, and report/table.json into the
sweep's folder; points that are not measured yet are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.sweeps import scaling
from experiments.sweeps.figures import sections
from experiments.sweeps.scaling import Fitted, Row, Study
from g_pt import command, words, workdir
from g_pt.report import markup, page, table
from g_pt.report.base import Key, Table

TABLE = "report/table.json"
_LEAD = (
  "Each point is a training of its own, of the same experiment with one setting changed: nothing else is tuned again, "
  "and there is one seed. All points learn from one corpus and are judged on the same networks. "
)
_METHOD = (
  "A slope is that of the least-squares line of ln y against ln x over the points of its axis, the experiment as it "
  "is among them, so that y goes as x to the power of the slope. Its standard error comes from how far the points lie "
  "off the line; the noise of a training is in it only so far. y is 1 - R² of prompt alignment on test runs, or the "
  "excess of one update: how much worse the mean of the fresh networks is after one update at the best prompt than "
  "the mean end of the training runs, both on recorded data. Where an update ends better than runs do, there is no "
  "excess and no logarithm, and the point is left out of that line. Training FLOP are all operations of one step's "
  "program as XLA counts them, forward, backward and the optimizer, times the steps."
)


def tables(study: Study) -> tuple[Table, ...]:
  """The points, and the slopes."""
  measured = Table(
    f"Points of {study.name}",
    ("", "parameters", "runs", "checkpoints", "steps", "FLOP", "alignment", "held out", "one update", "run ends"),
    tuple(_cells(row) for row in study.rows),
  )
  slopes = Table(
    "Slopes",
    ("", "slope", "standard error", "points", "left out"),
    tuple(_slope_cells(fitted) for fitted in study.fits),
  )
  return tuple(made for made in (measured, slopes) if made.rows)


def _cells(row: Row) -> tuple[str, ...]:
  counts = (row.parameters, row.runs, row.checkpoints, row.steps)
  numbers = (row.alignment["recorded"], row.alignment["final"], row.one_update, row.run_ends)
  return (row.name, *map(words.count, counts), f"{row.training_flop:.2e}", *map(words.number, numbers))


def _slope_cells(fitted: Fitted) -> tuple[str, ...]:
  name = f"{scaling.Y[fitted.y]} by {scaling.X[fitted.x]} ({fitted.axis})"
  if fitted.slope is None:
    return (name, "-", "-", "fewer than 3", "-")
  slope = fitted.slope
  return (name, f"{slope.slope:.3f}", f"{slope.standard_error:.3f}", str(slope.points), str(slope.left_out))


def as_json(study: Study) -> dict[str, Any]:
  """The table as numbers, and the slopes with what they are of."""
  fits = [
    {"axis": fitted.axis, "x": fitted.x, "y": fitted.y, "fit": fitted.slope and fitted.slope._asdict()}
    for fitted in study.fits
  ]
  return {
    "sweep": study.name,
    "task": study.task,
    "metric": study.metric,
    "rows": [{**row._asdict(), "lost": row.lost, "excess": row.excess} for row in study.rows],
    "fits": fits,
    "method": _METHOD,
  }


def html(study: Study, directory: Path) -> bytes:
  """The page."""
  keys = [
    Key(f"{fitted.slope.slope:.2f} ± {fitted.slope.standard_error:.2f}", _key_label(fitted))
    for fitted in study.fits
    if fitted.slope is not None and fitted.y == "lost"
  ]
  lead = f"{_LEAD}Made by python -m experiments.sweeps.run --sweep={study.name} --workdir={directory}."
  title = f"Scaling of G.pt on {study.task}: {study.view.metric.label}"
  drawn = {f"axis-{number}": section for number, section in enumerate(sections(study, _METHOD), 1)}
  parts = [*page.parts(drawn), markup.Part("summary", "Summary", markup.tables(tables(study)))]
  return markup.page(title, markup.paragraph(lead) + markup.keys(keys), parts)


def _key_label(fitted: Fitted) -> str:
  return f"slope of {scaling.Y[fitted.y]} by {scaling.X[fitted.x]}, along {fitted.axis}"


def write(directory: Path) -> Study:
  """Writes page and JSON; UserError where the folder holds no measured point of a sweep."""
  study = scaling.read(directory)
  workdir.write_json(directory / TABLE, as_json(study))
  workdir.write_bytes(directory / workdir.REPORT, html(study, directory))
  return study


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m experiments.sweeps.report")
  parser.add_argument("--workdir", type=Path, required=True)
  directory = parser.parse_args(arguments).workdir
  study = write(directory)
  print(table.text(f"{study.task}: {study.view.metric.label}", tables(study)))
  print(f"report: {directory / workdir.REPORT}")


if __name__ == "__main__":
  command.run(main, "report")
