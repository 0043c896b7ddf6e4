"""Draws the README's pictures from the evaluations of workdirs, so that no number in them is typed.

  command   python -m experiments.results.figures [--digits=runs/digits_loss] [--mnist=runs/mnist_loss] [--out=docs]

alignment.svg     prompted against achieved, of every workdir
one_update.svg    one update beside the course of hand-made optimizers, of every workdir
landscape.svg     the plane through many samples of one start, of mnist
walk.svg          filters of sampled networks while the noise goes round, of mnist

Each evaluation must be there: landscape and walk are made only where
`--config.evaluate.experiments` names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import io
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
import numpy as np

from g_pt import command, words, workdir
from g_pt.errors import UserError
from g_pt.report import marks
from g_pt.report.axes import common_range
from g_pt.report.base import View
from g_pt.report.results import Evaluated, evaluations
from g_pt.report.sections.landscape import scaled

FOLDER = Path(__file__).parents[2] / "docs"
MOST = 150_000  # bytes of a picture
_INK, _GRID = "#1B1F24", "#E9ECEF"
_OPTIMIZERS = ("#1F78B4", "#009E73", "#CC79A7", "#868C95", "#56B4E9", "#E69F00")
_DRAWN = 24  # networks, one by one
_FRAMES, _TILES, _SHADES = 8, 4, 32
# A white card reads on light and dark pages alike; the same data are the same file.
STYLE: dict[Any, Any] = {
  "figure.facecolor": "white",
  "savefig.facecolor": "white",
  "svg.hashsalt": "g_pt",
  "svg.fonttype": "path",
  "font.family": "DejaVu Sans",
  "font.size": 10,
  "text.color": _INK,
  "axes.edgecolor": "#B9C0C8",
  "axes.labelcolor": _INK,
  "axes.titlesize": 11,
  "axes.titleweight": "bold",
  "axes.spines.top": False,
  "axes.spines.right": False,
  "axes.grid": True,
  "axes.axisbelow": True,
  "grid.color": _GRID,
  "xtick.color": "#59616B",
  "ytick.color": "#59616B",
  "legend.frameon": False,
  "legend.fontsize": 9,
}


def evaluation(directory: Path, name: str) -> Evaluated:
  """UserError, naming the workdir, where it is missing."""
  if not (directory / workdir.EVALUATION / f"{name}.json").exists():
    remedy = f"""run --stage=evaluate with --config.evaluate.experiments="('{name}',)" """.rstrip()
    raise UserError(f"{directory}: no evaluation {name!r} here; {remedy}")
  return evaluations(directory, [name])[name]


def view_of(found: Evaluated) -> View:
  return View.of(found.settings)


def title_of(view: View) -> str:
  """digits, test loss (nats) -> what stands above a panel."""
  return {"mnist": "MNIST", "cifar10": "CIFAR-10"}.get(view.task.name, words.capital(view.task.name))


def panels(count: int, width: float = 4.6, height: float = 3.9) -> tuple[Figure, list[Axes]]:
  """A figure of panels side by side."""
  figure = Figure(figsize=(width * count, height), layout="constrained")
  return figure, list(np.atleast_1d(figure.subplots(1, count)))


def alignment(directories: Sequence[Path]) -> Figure:
  """Prompted against achieved on held-out data, a panel a workdir: single networks, the middle 80 %, the mean."""
  figure, axes = panels(len(directories))
  for panel, directory in zip(axes, directories):
    found = evaluation(directory, "alignment")
    prompted, achieved = found.array("test.prompted"), found.array("test.achieved.final")
    view, shown = view_of(found), common_range(prompted, achieved)
    panel.plot(shown, shown, "--", color=marks.NEUTRAL, linewidth=1.2, label="perfect")
    panel.plot(prompted[:_DRAWN].T, achieved[:_DRAWN].T, color=marks.GPT, alpha=0.2, linewidth=0.6)
    x = prompted.mean(axis=0)
    panel.fill_between(x, *marks.middle(achieved), color=marks.GPT, alpha=0.22, linewidth=0, label="middle 80 %")
    panel.plot(x, achieved.mean(axis=0), "o-", color=marks.GPT, linewidth=2, markersize=3.5, label="mean")
    score = words.number(found.summary["test"]["final"]["mean"])
    panel.set(xlim=shown, ylim=shown, xlabel=f"prompted {view.metric.label}", ylabel=f"achieved {view.metric.label}")
    panel.set_title(f"{title_of(view)}: prompt alignment {score}")
    panel.set_aspect("equal")
  axes[0].legend(loc="upper left")
  return figure


def one_update(directories: Sequence[Path]) -> Figure:
  """Mean metric on held-out data over optimizer steps, and the level that one update reaches."""
  figure, axes = panels(len(directories), width=4.9)
  for panel, directory in zip(axes, directories):
    found = evaluation(directory, "one_update")
    view, last = view_of(found), 1
    for colour, name in zip(_OPTIMIZERS, found.summary["optimizers"]["final"]):
      step, values = found.array(f"curve.{name}.step"), found.array(f"curve.{name}.final")
      panel.plot(marks.on_log(step), values.mean(axis=0), color=colour, linewidth=1.5, label=words.optimizer(name))
      last = max(last, int(step[-1]))
    achieved = found.array("achieved.final")
    panel.axhspan(*marks.middle(achieved), color=marks.GPT, alpha=0.18, linewidth=0)
    panel.axhline(achieved.mean(), color=marks.GPT, linewidth=2.2, label="one G.pt update")
    panel.plot([1], [achieved.mean()], "o", color=marks.GPT, markersize=7)
    first = marks.on_log(np.zeros(1))[0]
    panel.set(xscale="log", xlabel="optimizer steps", ylabel=view.metric.label, xlim=(first, last))
    if achieved.min() > 0 and not view.metric.higher_is_better:
      panel.set_yscale("log")
    plain_ticks(panel)
    panel.set_title(f"{title_of(view)}: {words.number(achieved.mean())} after one update")
    if panel is axes[0]:
      panel.legend(loc="upper left" if view.metric.higher_is_better else "center left")
  return figure


def plain_ticks(panel: Axes) -> None:
  """Round numbers on logarithmic axes, as one writes them."""
  for axis, low, high in ((panel.xaxis, *panel.get_xlim()), (panel.yaxis, *panel.get_ylim())):
    if axis.get_scale() == "log":
      ticks = marks.ticks(low, high, (1,) if high / low > 300 else (1, 2, 5) if high / low > 5 else tuple(range(1, 10)))
      axis.set_ticks(ticks, labels=[f"{tick:,g}" for tick in ticks])
      axis.set_ticks([], minor=True)


def landscape(directory: Path) -> Figure:
  """The metric on the plane through the samples, in the report's colours, and where samples and start lie above it."""
  found = evaluation(directory, "landscape")
  view, (figure, (panel,)) = view_of(found), panels(1, width=5.6, height=4.4)
  x, y, values = (found.array(name) for name in ("x", "y", "landscape"))
  before = float(found.array("start_metric")[0])
  colours = scaled(values.astype(np.float64), found.array("metric"), before, view.metric)
  # A pixel a network, kept as it is: resampled, or drawn as areas, the file would be many times as large.
  half_x, half_y = (0.5 * (axis[1] - axis[0]) for axis in (x, y))
  extent = (x[0] - half_x, x[-1] + half_x, y[0] - half_y, y[-1] + half_y)
  cmap = "cividis_r" if view.metric.higher_is_better else "cividis"  # dark is good
  style: dict[str, Any] = {"origin": "lower", "aspect": "auto", "interpolation": "none", "cmap": cmap}
  filled = panel.imshow(colours.values, extent=extent, vmin=colours.low, vmax=colours.high, **style)
  levels = np.linspace(colours.low, colours.high, 12)[1:-1]
  panel.contour(x, y, colours.values, levels, colors="white", linewidths=0.6, alpha=0.5, linestyles="solid")
  at, start = found.array("sample_at"), found.array("start_at")
  dot: dict[str, Any] = {"color": "white", "markersize": 6, "markeredgecolor": _INK, "markeredgewidth": 0.5}
  panel.plot(*at.T, ".", label="samples, above the plane", **dot)
  panel.plot(*start.T, "X", color=marks.GPT, markersize=11, markeredgecolor="white", label="their start")
  shares = found.array("explained")
  panel.set(xlabel=f"first direction ({shares[0]:.0%} of variance)", ylabel=f"second ({shares[1]:.0%})")
  panel.grid(False)
  panel.set_title(f"{title_of(view)}: {len(at)} samples of one start")
  panel.legend(loc="upper left", labelcolor=_INK, frameon=True, framealpha=0.85, edgecolor="none")
  bar = figure.colorbar(filled, ax=panel, label=view.metric.label, ticks=colours.ticks)
  bar.set_ticklabels(colours.labels)
  return figure


def walk(directory: Path) -> Figure:
  """A column a frame, evenly spaced on the walk: its metric and the first filters, on one scale of colours."""
  found = evaluation(directory, "walk")
  view, tiles = view_of(found), found.array("tiles").astype(np.float32)
  chosen = np.unique(np.linspace(0, len(tiles), _FRAMES, endpoint=False).astype(int))
  tiles, metric = tiles[chosen, :_TILES], found.array("metric.final")[chosen]
  row, column = tiles.shape[2:4]
  height = max(row / column, 0.12)
  size = (1.05 * len(chosen), 0.75 + 1.05 * height * tiles.shape[1])
  figure = Figure(figsize=size, layout="constrained")
  axes = figure.subplots(tiles.shape[1], len(chosen), squeeze=False)
  largest = float(np.quantile(np.abs(tiles), 0.995)) or 1.0
  for place, panel in np.ndenumerate(axes):
    panel.imshow(picture(tiles[place[1], place[0]], largest), aspect="auto", interpolation="none")
    panel.set_axis_off()
  for panel, value in zip(axes[0], metric):
    panel.set_title(words.number(value), fontsize=9, fontweight="normal")
  figure.suptitle(f"{title_of(view)}: {found.summary['caption']}; {view.metric.label} above", fontsize=10)
  return figure


def picture(tile: np.ndarray, largest: float) -> np.ndarray:
  """A tile in few colours, so that the file is small: one channel from blue over white to red, three as they are."""
  if tile.shape[-1] == 3:
    return np.round(_SHADES * np.clip(0.5 + 0.5 * tile / largest, 0, 1)) / _SHADES
  shade = np.round(_SHADES * np.clip(0.5 + 0.5 * tile.mean(axis=-1) / largest, 0, 1)) / _SHADES
  return matplotlib.colormaps["RdBu_r"](shade)[..., :3]


def as_svg(figure: Figure) -> bytes:
  buffer = io.BytesIO()
  figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
  return buffer.getvalue()


def draw(workdirs: Mapping[str, Path], out: Path) -> list[Path]:
  """Writes every picture, or none: UserError where an evaluation is missing or a picture is too large."""
  with matplotlib.rc_context(STYLE):
    every = list(workdirs.values())
    drawn: dict[str, Any] = {
      "alignment": as_svg(alignment(every)),
      "one_update": as_svg(one_update(every)),
      "landscape": as_svg(landscape(workdirs["mnist"])),
      "walk": as_svg(walk(workdirs["mnist"])),
    }
  for name, content in drawn.items():
    if len(content) > MOST:
      raise UserError(f"{name}.svg: {len(content):,} bytes are more than the {MOST:,} that a picture may have")
  paths = {out / f"{name}.svg": content for name, content in drawn.items()}
  for path, content in paths.items():
    workdir.write_bytes(path, content)
  return list(paths)


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m experiments.results.figures")
  for name in ("digits", "mnist"):
    default = Path("runs") / f"{name}_loss"
    parser.add_argument(f"--{name}", type=Path, default=default, help=f"workdir; default: {default}")
  parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the pictures; default: docs")
  given = parser.parse_args(arguments)
  for path in draw({"digits": given.digits, "mnist": given.mnist}, given.out):
    print(path)


if __name__ == "__main__":
  command.run(main, "figures")
