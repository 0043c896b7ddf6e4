"""Tables as plain text, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from g_pt.report.base import Table


def text(title: str, tables: Sequence[Table]) -> str:
  """Aligned, a line a row, under a title; columns of numbers are aligned on the right."""
  names = [len(row[0]) for table in tables for row in table.rows]
  # Rows are indented by two, titles are not.
  names += [len(table.title) - 2 for table in tables if table.header]
  width = max(names, default=0)
  lines = [title]
  for table in tables:
    cells = [row for row in (table.header, *table.rows) if row]
    widths = [max(len(row[i]) for row in cells) for i in range(1, len(cells[0]))]
    heading = table.title
    if table.header:
      heading = _line(table.title, table.header[1:], width + 2, widths)
    lines.append(heading)
    lines += [_line("  " + row[0], row[1:], width + 2, widths) for row in table.rows]
  return "\n".join(lines)


def _line(name: str, values: tuple[str, ...], width: int, widths: list[int]) -> str:
  # One value needs no column of its own: it follows the names.
  aligned = values if len(values) == 1 else [value.rjust(wide) for value, wide in zip(values, widths)]
  return "  ".join([name.ljust(width), *aligned])
