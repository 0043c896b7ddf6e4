"""How G.pt grows, as the README's third table: a row an axis of a sweep.

  command   python -m experiments.results.scaling runs/sweeps/digits [MORE SWEEPS]

keeps each sweep's table in experiments/results/sweep_NAME.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.results.collect import FOLDER, processor
from experiments.sweeps import scaling
from experiments.sweeps.base import short
from experiments.sweeps.report import as_json
from g_pt import command, words, workdir

SWEEPS = {"digits": "digits, loss", "mnist": "MNIST, loss", "cifar10": "CIFAR-10, error"}
_PREFIX = "sweep_"
_HEAD = """| what grows | to | alignment | one update | slope of 1 - R² |
|---|---|---|---|---|"""


def keep(directory: Path) -> Path:
  """Writes the file of one sweep; UserError where it is none, or not measured."""
  study = scaling.read(directory)
  path = FOLDER / f"{_PREFIX}{study.name}.json"
  workdir.write_json(path, {"processor": processor(), **as_json(study)})
  return path


def rows(title: str, content: dict[str, Any]) -> list[str]:
  """Markdown of a sweep: along each axis all points, the experiment as it is among them."""
  axes = dict.fromkeys(row["axis"] for row in content["rows"] if row["axis"] is not None)
  lines = []
  for axis in axes:
    x = scaling.abscissae(axis)[0]
    points = sorted((row for row in content["rows"] if row["axis"] in (axis, None)), key=lambda row: row[x])
    cells = (
      f"{title}: {scaling.X[x]}",
      "; ".join(words.short_count(round(row[x])) for row in points),
      "; ".join(words.number(row["alignment"]["recorded"]) for row in points),
      "; ".join(words.number(row["one_update"]) for row in points),
      _slope(content["fits"], short(axis), x),
    )
    lines.append(f"| {' | '.join(cells)} |")
  return lines


def _slope(fits: Sequence[dict[str, Any]], axis: str, x: str) -> str:
  (fit,) = [fitted["fit"] for fitted in fits if (fitted["axis"], fitted["x"], fitted["y"]) == (axis, x, "lost")]
  return "-" if fit is None else f"{fit['slope']:.2f} ± {fit['standard_error']:.2f}"


def table() -> str:
  """Markdown of all sweeps that are kept."""
  lines = [_HEAD]
  for name, title in SWEEPS.items():
    content = workdir.read_json(FOLDER / f"{_PREFIX}{name}.json")
    if content is not None:
      lines += rows(title, content)
  return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m experiments.results.scaling")
  parser.add_argument("sweeps", nargs="+", type=Path, help="folders of finished sweeps")
  for directory in parser.parse_args(arguments).sweeps:
    print(keep(directory))


if __name__ == "__main__":
  command.run(main, "scaling")
