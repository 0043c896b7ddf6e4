"""HTML of the page's parts: all text is escaped here, and here alone."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
import hashlib
import html
import json
import string
from typing import Any, NamedTuple

from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from g_pt.report import template
from g_pt.report.base import Film, Key, Section, Table
from g_pt.report.script import SCRIPT

_NARROW = 4  # columns of a table that has another beside it


class Part(NamedTuple):
  """A piece of the page that the contents lead to."""

  name: str  # its id is section-NAME
  title: str
  body: str  # HTML
  figures: Mapping[str, str] = {}  # JSON by the id of the element that holds it

  @property
  def size(self) -> int:
    """Bytes that it adds to the page."""
    return sum(len(text.encode()) for text in (self.body, *self.figures.values()))


def page(title: str, lead: str, parts: Sequence[Part]) -> bytes:
  """The whole file; `lead` is HTML."""
  figures = {name: content for part in parts for name, content in part.figures.items()}
  encoded = ", ".join(f'"{name}": {content}' for name, content in figures.items())
  plotly = get_plotlyjs()
  scripts = " ".join(f"'sha256-{_hash(script)}'" for script in (plotly, SCRIPT))
  return (
    string.Template(template.PAGE)
    .substitute(
      title=text(title),
      policy=string.Template(template.POLICY).substitute(scripts=scripts),
      style=template.STYLE,
      lead=lead,
      contents=_contents(parts),
      sections="\n".join(
        f'<section id="section-{text(part.name)}"><h2>{text(part.title)}</h2>{part.body}</section>' for part in parts
      ),
      plotly=plotly,
      figures=f"{{{encoded}}}",
      script=SCRIPT,
    )
    .encode()
  )


def section(name: str, drawn: Section, first: int, gif: bytes | None = None) -> Part:
  """`first` is the number of its first figure in the page, `gif` its film as the page shows it."""
  ids = [f"plot-{first + i}" for i in range(len(drawn.figures))]
  shown = [_film(drawn.film, name, gif)] if drawn.film and gif else []
  shown += [_figure(one, title, figure) for one, (title, figure) in zip(ids, drawn.figures.items())]
  body = []
  if drawn.caption:
    body.append(paragraph(drawn.caption, "caption"))
  if shown:
    kind = "figures wide" if drawn.wide else "figures"
    body.append(f'<div class="{kind}">{"".join(shown)}</div>')
  if drawn.note:
    body.append(paragraph(drawn.note, "note"))
  # plotly's own encoder writes < as \u003c, so that no text can end the script element.
  encoded = {one: str(figure.to_json()) for one, figure in zip(ids, drawn.figures.values())}
  return Part(name, drawn.title, "".join(body), encoded)


def keys(values: Iterable[Key]) -> str:
  """The few numbers that one should take away."""
  items = (f"<div><dt>{text(key.label)}</dt><dd>{text(key.value)}</dd></div>" for key in values)
  return f'<dl class="keys">{"".join(items)}</dl>'


def tables(several: Iterable[Table], links: Mapping[str, str] | None = None) -> str:
  """`links` are addresses by the name of the row that leads there."""
  return f'<div class="tables">{"".join(_table(one, links or {}) for one in several)}</div>'


def details(title: str, values: Mapping[str, Any]) -> str:
  """Values to unfold."""
  content = json.dumps(values, indent=2, sort_keys=True)
  return f"<details><summary>{text(title)}</summary>{preformatted(content)}</details>"


def preformatted(content: str) -> str:
  return f"<pre>{text(content)}</pre>"


def paragraph(content: str, kind: str = "") -> str:
  attribute = f' class="{kind}"' if kind else ""
  return f"<p{attribute}>{text(content)}</p>"


def text(value: str) -> str:
  return html.escape(value)


def _contents(parts: Sequence[Part]) -> str:
  items = (f'<li><a href="#section-{text(part.name)}">{text(part.title)}</a></li>' for part in parts)
  heading = '<h2 id="contents-title">Contents</h2>'
  return f'<nav id="contents" aria-labelledby="contents-title">{heading}<ol>{"".join(items)}</ol></nav>'


def _figure(name: str, title: str, figure: Figure) -> str:
  """A place for plotly to draw in, and buttons that save what it draws."""
  buttons = "".join(
    f'<button type="button" data-save="{kind}" data-figure="{name}" aria-label="Save as {kind.upper()}: {text(title)}">'
    f"{kind.upper()}</button>"
    for kind in ("png", "csv")
  )
  return (
    f'<figure><figcaption><span>{text(title)}</span><span class="save">{buttons}</span></figcaption>'
    f'<div class="plot" id="{name}" role="img" aria-label="{text(title)}" '
    f'style="min-height: {figure.layout.height}px"></div></figure>'
  )


def _film(film: Film, name: str, gif: bytes) -> str:
  _, height, width, _ = film.frames.shape
  return (
    f'<figure class="film"><figcaption><span>{text(film.title)}</span></figcaption>'
    f'<div><img width="{width}" height="{height}" alt="{text(film.text)}" '
    f'src="data:image/gif;base64,{base64.b64encode(gif).decode()}">'
    f"{paragraph(f'Beside this page: {name}.gif and {name}.mp4.', 'caption')}</div></figure>"
  )


def _table(one: Table, links: Mapping[str, str]) -> str:
  head = "".join(f'<th scope="col">{text(cell)}</th>' for cell in one.header)
  head = f"<thead><tr>{head}</tr></thead>" if head else ""
  rows = (
    f'<tr><th scope="row">{_linked(name, links)}</th>{"".join(f"<td>{text(cell)}</td>" for cell in cells)}</tr>'
    for name, *cells in one.rows
  )
  body = f"<table><caption>{text(one.title)}</caption>{head}<tbody>{''.join(rows)}</tbody></table>"
  return f'<div class="{"table wide" if len(one.header) > _NARROW else "table"}">{body}</div>'


def _linked(name: str, links: Mapping[str, str]) -> str:
  return f'<a href="{text(links[name])}">{text(name)}</a>' if name in links else text(name)


def _hash(script: str) -> str:
  return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
