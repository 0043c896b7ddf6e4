"""The report: one self-contained page, written from what evaluations and training left in the workdir."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
import platform
import shlex
from typing import Any, NamedTuple

from g_pt import words, workdir
from g_pt.errors import UserError
from g_pt.report import film, markup, results, table
from g_pt.report.base import Film, Section, SectionPlugin, Table, View
from g_pt.report.markup import Part
from g_pt.report.results import Evaluated
from g_pt.report.sections import training

_LIBRARIES = ("g-pt-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "plotly")
_LARGEST = 15_000_000  # bytes of the page, of which plotly is a third


class Page(NamedTuple):
  content: bytes
  films: dict[str, Film]  # by evaluation
  gifs: dict[str, bytes]


def write(
  directory: Path, values: Mapping[str, Any], sections: Mapping[str, SectionPlugin], command: str | None = None
) -> None:
  """Writes report/index.html, whole or not at all, and beside it NAME.gif and NAME.mp4 of each film.

  The films of an earlier page are taken away. Arguments and errors are those of `draw`.
  """
  drawn = draw(directory, values, sections, command)
  folder = (directory / workdir.REPORT).parent
  for name in sections:
    gif, mp4 = folder / f"{name}.gif", folder / f"{name}.mp4"
    if name in drawn.films:
      workdir.write_bytes(gif, drawn.gifs[name])
      workdir.write_bytes(mp4, film.mp4(drawn.films[name]))
    else:  # of an earlier page
      gif.unlink(missing_ok=True)
      mp4.unlink(missing_ok=True)
  workdir.write_bytes(directory / workdir.REPORT, drawn.content)


def draw(
  directory: Path, values: Mapping[str, Any], sections: Mapping[str, SectionPlugin], command: str | None = None
) -> Page:
  """The report of a workdir.

  `values` is the resolved configuration, `sections` what draws each evaluation,
  by name and in the order of the page; an evaluation that is not there is left
  out. `command` is the command line that made the workdir.
  Raises UserError where there is no evaluation at all, naming the file where
  one is missing or cannot be read, and where the page gets too large.
  """
  view, found = View.of(values), results.evaluations(directory, sections)
  every = {name: sections[name].section(one, view) for name, one in found.items()}
  every["training"] = training.section(results.training(directory), found, view)
  drawn = {name: section for name, section in every.items() if section is not None}
  films = {name: section.film for name, section in drawn.items() if section.film is not None}
  gifs = {name: film.gif(one) for name, one in films.items()}
  every_part = [
    *parts(drawn, gifs),
    Part("summary", "Summary", markup.tables(_tables(found, view, sections))),
    Part("origin", "How this page was made", _origin(values, found, command or _likely_command(directory))),
  ]
  keys = [key for name, one in found.items() for key in sections[name].keys(one, view)]
  content = markup.page(_title(view), _lead(view) + markup.keys(keys), every_part)
  refuse_large(directory / workdir.REPORT, content, every_part)
  return Page(content, films, gifs)


def summary_text(directory: Path, values: Mapping[str, Any], sections: Mapping[str, SectionPlugin]) -> str:
  """The tables of all evaluations that are there, as aligned lines for a terminal; UserError like `write`."""
  view, found = View.of(values), results.evaluations(directory, sections)
  return table.text(f"{view.task.name}: {view.metric.label}", _tables(found, view, sections))


def refuse_large(file: Path, content: bytes, parts: Sequence[Part], largest: int = _LARGEST) -> None:
  """UserError, naming the largest sections, where a page would take long to open."""
  if len(content) <= largest:
    return
  worst = sorted(parts, key=lambda part: part.size, reverse=True)[:3]
  sizes = ", ".join(f"{part.name} {part.size / 1e6:.1f} MB" for part in worst)
  raise UserError(
    f"{file}: {len(content) / 1e6:.1f} MB, more than {largest / 1e6:.0f}; its largest sections: {sizes}; "
    "evaluate less of them, or leave them out of evaluate.experiments"
  )


def parts(drawn: Mapping[str, Section], gifs: Mapping[str, bytes] | None = None) -> list[Part]:
  """The sections as HTML, their figures numbered throughout; of each film its GIF."""
  made, count = [], 0
  for name, section in drawn.items():
    made.append(markup.section(name, section, count, (gifs or {}).get(name)))
    count += len(section.figures)
  return made


def _tables(found: Mapping[str, Evaluated], view: View, sections: Mapping[str, SectionPlugin]) -> tuple[Table, ...]:
  every = [made for name, one in found.items() for made in sections[name].tables(one, view)]
  seconds = tuple((name.replace("_", " "), words.duration(one.seconds)) for name, one in found.items())
  return tuple(made for made in (*every, Table("Time of evaluations", (), seconds)) if made.rows)


def _likely_command(directory: Path) -> str:
  return f"python main.py --config=EXPERIMENT.py --workdir={shlex.quote(str(directory))}"


def _title(view: View) -> str:
  return f"G.pt on {view.task.name}: {view.metric.label}"


def _lead(view: View) -> str:
  return markup.paragraph(
    "G.pt is a diffusion model that has read the checkpoints of many training runs of small networks and now trains "
    f"such networks itself: given a network, its {view.metric.label} and the value that is wanted, it samples new "
    "weights in one update. This page shows how closely networks get the value asked for, and how many steps of "
    "hand-made optimizers one update is worth."
  )


def _origin(values: Mapping[str, Any], found: Mapping[str, Evaluated], command: str) -> str:
  """Command, configuration, the settings that each evaluation was made under, and libraries."""
  settings = {name: one.settings for name, one in found.items()}
  return (
    markup.preformatted(command)
    + markup.details(f"Resolved configuration ({workdir.CONFIG})", values)
    + markup.details(f"Settings of each evaluation ({workdir.EVALUATION}/)", settings)
    + markup.paragraph(libraries(), "caption")
  )


def libraries() -> str:
  """Names and versions of what results may depend on."""
  versions = {"Python": platform.python_version()}
  for name in _LIBRARIES:
    try:
      versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
      continue
  return ", ".join(f"{name} {version}" for name, version in versions.items())
