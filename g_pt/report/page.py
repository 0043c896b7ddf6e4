"""The report: one self-contained page, written from what evaluations and training left in the workdir."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import html
from importlib import metadata
import json
from pathlib import Path
import platform
import shlex
import string
from typing import Any

from plotly.offline import get_plotlyjs

from g_pt import workdir
from g_pt.report import results, table, template, words
from g_pt.report.base import Key, Section, SectionPlugin, Table, View
from g_pt.report.results import Evaluated
from g_pt.report.sections import training

_LIBRARIES = ("g-pt-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "plotly")
_NARROW = 4  # columns of a table that has another beside it


def write(
  directory: Path, values: Mapping[str, Any], sections: Mapping[str, SectionPlugin], command: str | None = None
) -> None:
  """Writes report/index.html, whole or not at all.

  `values` is the resolved configuration, `sections` what draws each evaluation,
  by name and in the order of the page; an evaluation that is not there is left
  out. `command` is the command line that made the workdir.
  Raises UserError where there is no evaluation at all, and, naming the file,
  where one is missing or cannot be read.
  """
  view, found = View.of(values), results.evaluations(directory, sections)
  drawn = [sections[name].section(one, view) for name, one in found.items()]
  drawn.append(training.section(results.training(directory), found, view))
  rest = summary(_tables(found, view, sections)), _origin(values, found, command or _likely_command(directory))
  keys = [key for name, one in found.items() for key in sections[name].keys(one, view)]
  title = f"G.pt on {view.task.name}: {view.metric.label}"
  content = render(title, _lead(view), keys, [section for section in drawn if section is not None], rest)
  workdir.write_bytes(directory / workdir.REPORT, content.encode())


def summary_text(directory: Path, values: Mapping[str, Any], sections: Mapping[str, SectionPlugin]) -> str:
  """The tables of all evaluations that are there, as aligned lines for a terminal; UserError like `write`."""
  view, found = View.of(values), results.evaluations(directory, sections)
  return table.text(f"{view.task.name}: {view.metric.label}", _tables(found, view, sections))


def _tables(found: Mapping[str, Evaluated], view: View, sections: Mapping[str, SectionPlugin]) -> tuple[Table, ...]:
  every = [made for name, one in found.items() for made in sections[name].tables(one, view)]
  seconds = tuple((name.replace("_", " "), words.duration(one.seconds)) for name, one in found.items())
  return tuple(made for made in (*every, Table("Time of evaluations", (), seconds)) if made.rows)


def _likely_command(directory: Path) -> str:
  return f"python main.py --config=EXPERIMENT.py --workdir={shlex.quote(str(directory))}"


def render(title: str, lead: str, keys: Sequence[Key], sections: Sequence[Section], rest: Sequence[str]) -> str:
  """A page; `rest` is the HTML of what stands below the sections."""
  drawn, bodies = {}, []
  for section in sections:
    bodies.append(_section(section, first=len(drawn)))
    drawn |= {f"plot-{len(drawn) + i}": figure for i, figure in enumerate(section.figures.values())}
  # plotly's own encoder writes < as \u003c, so that no text can end the script element.
  encoded = ", ".join(f'"{name}": {figure.to_json()}' for name, figure in drawn.items())
  return string.Template(template.PAGE).substitute(
    title=_text(title),
    policy=template.POLICY,
    style=template.STYLE,
    lead=_paragraph(lead),
    keys=_keys(keys),
    sections="\n".join([*bodies, *rest]),
    plotly=get_plotlyjs(),
    figures=f"{{{encoded}}}",
    script=template.SCRIPT,
  )


def _lead(view: View) -> str:
  return (
    "G.pt is a diffusion model that has read the checkpoints of many training runs of small networks and now trains "
    f"such networks itself: given a network, its {view.metric.label} and the value that is wanted, it samples new "
    "weights in one update. This page shows how closely networks get the value asked for, and how many steps of "
    "hand-made optimizers one update is worth."
  )


def _keys(keys: Sequence[Key]) -> str:
  """The few numbers that one should take away."""
  items = (f"<div><dt>{_text(key.label)}</dt><dd>{_text(key.value)}</dd></div>" for key in keys)
  return f'<dl class="keys">{"".join(items)}</dl>'


def _section(section: Section, first: int) -> str:
  plots = (
    f'<figure><figcaption>{_text(title)}</figcaption><div class="plot" id="plot-{first + i}" role="img" '
    f'aria-label="{_text(title)}" style="min-height: {figure.layout.height}px"></div></figure>'
    for i, (title, figure) in enumerate(section.figures.items())
  )
  parts = [f"<h2>{_text(section.title)}</h2>"]
  if section.caption:
    parts.append(_paragraph(section.caption, "caption"))
  if section.figures:
    kind = "figures wide" if section.wide else "figures"
    parts.append(f'<div class="{kind}">{"".join(plots)}</div>')
  if section.note:
    parts.append(_paragraph(section.note, "note"))
  return f"<section>{''.join(parts)}</section>"


def summary(tables: Sequence[Table]) -> str:
  """The HTML of tables under a heading of their own."""
  return f'<section><h2>Summary</h2><div class="tables">{"".join(map(_table, tables))}</div></section>'


def _table(one: Table) -> str:
  head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in one.header)
  head = f"<thead><tr>{head}</tr></thead>" if head else ""
  rows = (
    f'<tr><th scope="row">{_text(name)}</th>{"".join(f"<td>{_text(cell)}</td>" for cell in cells)}</tr>'
    for name, *cells in one.rows
  )
  body = f"<table><caption>{_text(one.title)}</caption>{head}<tbody>{''.join(rows)}</tbody></table>"
  return f'<div class="{"table wide" if len(one.header) > _NARROW else "table"}">{body}</div>'


def _origin(values: Mapping[str, Any], found: Mapping[str, Evaluated], command: str) -> str:
  """Command, configuration, the settings that each evaluation was made under, and libraries."""
  settings = {name: one.settings for name, one in found.items()}
  versions = {"Python": platform.python_version()}
  for name in _LIBRARIES:
    try:
      versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
      continue
  libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
  return (
    f"<section><h2>How this page was made</h2><pre>{_text(command)}</pre>"
    f"{_details(f'Resolved configuration ({workdir.CONFIG})', values)}"
    f"{_details(f'Settings of each evaluation ({workdir.EVALUATION}/)', settings)}"
    f"{_paragraph(libraries, 'caption')}</section>"
  )


def _details(title: str, values: Mapping[str, Any]) -> str:
  content = json.dumps(values, indent=2, sort_keys=True)
  return f"<details><summary>{_text(title)}</summary><pre>{_text(content)}</pre></details>"


def _paragraph(text: str, kind: str = "") -> str:
  attribute = f' class="{kind}"' if kind else ""
  return f"<p{attribute}>{_text(text)}</p>"


def _text(value: str) -> str:
  return html.escape(value)
