"""Draws the README's picture of one G.pt on many data sets, from the evaluations of a workdir and of a sweep.

  command   python -m experiments.results.unseen_figure [--workdir=runs/unseen_data] [--sweep=runs/sweeps/unseen]

unseen.svg          prompted against achieved on data that no corpus has; one update and rivals by images of a class
unseen_curves.svg   one update and alignment by sources, data sets, weights and steps, where the sweep is there
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
import numpy as np

from experiments.results import figures
from experiments.results.unseen import OF_FEW
from experiments.sweeps import unseen
from g_pt import command, words, workdir
from g_pt.report import axes, marks
from g_pt.report.axes import common_range

_NAMES = {"fashion_mnist": "Fashion-MNIST", "letters": "letters from fonts"}


def drawn(directory: Path) -> Figure:
  """Means of each data set that was held out or is an unseen mix, and curves of the held-out source with few images."""
  found, few = (figures.evaluation(directory, name) for name in ("data_sets", "few_examples"))
  held_out = _held_out(few.summary["sets"])
  figure, (left, *others) = figures.panels(1 + len(held_out), width=4.9)
  _alignment(left, found)
  for panel, one in zip(others, held_out):
    _few(panel, one)
  return figure


def _held_out(sets: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
  return [one for one in sets if one["kind"] == "held out"]


def _alignment(panel: Any, found: Any) -> None:
  sets, lines = found.summary["sets"], []
  colours = iter([marks.GPT, *(colour for colour, *_ in axes.styles(len(sets)))])
  grey = {"color": marks.NEUTRAL, "linewidth": 1.0, "alpha": 0.7}
  mixes = [number for number, one in enumerate(sets) if one["kind"] == "test"]
  for number, one in enumerate(sets):
    if one["kind"] == "training":
      continue
    x, y = (found.array(f"{number}.test_loss.{what}").mean(axis=0) for what in ("prompted", "achieved"))
    lines += [x, y]
    if one["kind"] == "test":
      label = f"{len(mixes)} unseen mixes" if number == mixes[0] else None
      panel.plot(x, y, label=label, **grey)
    else:
      label = f"{_NAMES.get(one['name'], one['name'])}: {words.number(one['metrics']['test_loss']['alignment'])}"
      panel.plot(x, y, "o-", color=next(colours), linewidth=2, markersize=3.5, label=label)
  shown = common_range(*map(np.asarray, lines))
  panel.plot(shown, shown, "--", color=marks.NEUTRAL, linewidth=1.2, label="perfect")
  panel.set(xlim=shown, ylim=shown, xlabel="prompted test loss (nats)", ylabel="achieved test loss (nats)")
  panel.set_title("Data sets that it has never seen: prompt alignment")
  panel.set_aspect("equal")
  panel.legend(loc="upper left")


def _few(panel: Any, one: dict[str, Any]) -> None:
  counts = [row["count"] for row in one["counts"]]
  for way, (colour, *_) in zip(OF_FEW, axes.styles(len(OF_FEW))):
    values = [row["ways"][way]["test_loss"] for row in one["counts"]]
    there = [(count, value) for count, value in zip(counts, values) if value is not None]
    main = {"color": marks.GPT, "linewidth": 2.4} if way == "one update" else {"color": colour, "linewidth": 1.4}
    panel.plot(*zip(*there), "o-", markersize=3.5, label=way, **main)
  panel.set(xscale="log", yscale="log", xlabel="images of a class", ylabel="test loss (nats)")
  figures.plain_ticks(panel)
  panel.set_xticks(counts, labels=[str(count) for count in counts])
  panel.set_title(f"{_NAMES.get(one['name'], one['name'])}, from few images")
  panel.legend(loc="upper right")


def curves(folder: Path, source: str = "fashion_mnist") -> Figure:
  """Of each axis of the sweep, one update on a held-out source by its values; beside each point its alignment."""
  rows = workdir.read_json(folder / unseen.TABLE)["rows"]
  sweep = unseen.get_sweep()
  default = next(row for row in rows if row["axis"] is None)
  figure, panels = figures.panels(len(sweep.axes), width=3.4, height=3.4)
  for panel, axis in zip(panels, sweep.axes):
    own = sorted([*(row for row in rows if row["axis"] == axis), default], key=lambda row: unseen.size_on(axis, row))
    x = [unseen.size_on(axis, row) for row in own]
    values = [row["sets"][source] for row in own]
    panel.plot(x, [one["one_update"] for one in values], "o-", color=marks.GPT, linewidth=2)
    for place, one in zip(x, values):
      at = (place, one["one_update"])
      panel.annotate(f"{one['alignment']:.3f}", at, xytext=(0, 7), textcoords="offset points", ha="center", fontsize=8)
    panel.axhline(values[-1]["end"], color=marks.NEUTRAL, linestyle="--", linewidth=1.2, label="whole runs")
    panel.set(xlabel=unseen.NAMES[axis], xscale="linear" if axis == "task" else "log")
    panel.set_xticks(x, labels=[f"{value:,}" for value in x])
    panel.set_xticks([], minor=True)
    panel.margins(x=0.15)
    panel.set_ylim(_shown(rows, source))
  panels[0].set_ylabel(f"{_NAMES.get(source, source)}, one update (nats)")
  panels[0].legend(loc="lower right")
  return figure


def _shown(rows: Sequence[dict[str, Any]], source: str) -> tuple[float, float]:
  """Of all panels alike, with room for what is written above a point."""
  values = [value for row in rows for value in (row["sets"][source]["one_update"], row["sets"][source]["end"])]
  low, high = min(values), max(values)
  return low - 0.2 * (high - low), high + 0.2 * (high - low)


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m experiments.results.unseen_figure")
  parser.add_argument("--workdir", type=Path, default=Path("runs/unseen_data"))
  parser.add_argument("--sweep", type=Path, default=Path("runs/sweeps/unseen"))
  parser.add_argument("--out", type=Path, default=figures.FOLDER, help="folder of the pictures; default: docs")
  given = parser.parse_args(arguments)
  with matplotlib.rc_context(figures.STYLE):
    pictures = {"unseen": figures.as_svg(drawn(given.workdir))}
    if (given.sweep / unseen.TABLE).exists():
      pictures["unseen_curves"] = figures.as_svg(curves(given.sweep))
  for name, content in pictures.items():
    workdir.write_bytes(given.out / f"{name}.svg", content)
    print(given.out / f"{name}.svg")


if __name__ == "__main__":
  command.run(main, "unseen_figure")
