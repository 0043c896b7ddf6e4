"""The summary as tables of words, for the terminal and the page alike."""

from __future__ import annotations

from typing import Any, NamedTuple

from g_pt import tasks
from g_pt.report import words

_STAGES = ("corpus", "train", "evaluate", "report")  # in the order in which they run


class Table(NamedTuple):
  title: str
  header: tuple[str, ...]  # of the columns; empty where a row is a name and a value
  rows: tuple[tuple[str, ...], ...]


def metric_label(summary: dict[str, Any]) -> str:
  return tasks.get(summary["task"]).metric(summary["metric"]).label


def tables(summary: dict[str, Any], steps: int | None = None) -> tuple[Table, ...]:
  """`steps` is the length of the optimizers' runs, where it is known."""
  alignment, one = summary["prompt_alignment"], summary["one_update"]
  corpus = summary["corpus"]
  runs = f"{words.count(corpus['runs'])} ({words.count(corpus['test_runs'])} held out, {corpus['rejected']} rejected)"
  recorded = tuple(
    (f"{other.label}, mean", words.number(one["recorded_mean"][name]))
    for name, other in tasks.get(summary["task"]).metrics.items()
    if name != summary["metric"] and name in one["recorded_mean"]
  )
  seconds = summary.get("seconds", {})
  span = f"{words.number(one['achieved_min'])} to {words.number(one['achieved_max'])}"
  optimizers = tuple(
    (
      words.optimizer(name),
      words.setting(rate),
      words.number(one["optimizer_final_mean"][name]),
      words.steps_to_match(one["steps_to_match"][name], steps),
    )
    for name, rate in one["learning_rate"].items()
  )
  every = (
    Table(
      "Prompt alignment (1 is perfect)",
      (),
      (("training runs", words.number(alignment["train"])), ("unseen runs", words.number(alignment["test"]))),
    ),
    Table(
      f"One update of {words.count(one['networks'])} unseen networks, prompt {words.setting(one['prompt'])}",
      (),
      (
        ("start, mean", words.number(one["start_mean"])),
        ("achieved, mean", words.number(one["achieved_mean"])),
        ("achieved, lowest to highest", span),
        *recorded,
      ),
    ),
    Table("Optimizers", ("", "learning rate", "final mean", "steps to match"), optimizers),
    Table(
      "Corpus and model",
      (),
      (
        ("training runs", runs),
        ("checkpoints of a run", words.count(corpus["checkpoints"])),
        ("end of a run, mean", words.number(corpus["final_mean"])),
        ("parameters of G.pt", words.count(summary["model"]["parameters"])),
      ),
    ),
    Table("Time", (), tuple((name, words.duration(seconds[name])) for name in _STAGES if name in seconds)),
  )
  return tuple(table for table in every if table.rows)


def text(summary: dict[str, Any], steps: int | None = None) -> str:
  """Aligned plain text, a line a row; columns of numbers are aligned on the right."""
  every = tables(summary, steps)
  width = max(len(row[0]) for table in every for row in table.rows)
  lines = [f"{summary['task']}: {metric_label(summary)}"]
  for table in every:
    cells = [row for row in (table.header, *table.rows) if row]
    widths = [max(len(row[i]) for row in cells) for i in range(1, len(cells[0]))]
    title = table.title
    if table.header:
      title = _line(table.title, table.header[1:], width + 2, widths)
    lines.append(title)
    lines += [_line("  " + row[0], row[1:], width + 2, widths) for row in table.rows]
  return "\n".join(lines)


def _line(name: str, values: tuple[str, ...], width: int, widths: list[int]) -> str:
  # One value needs no column of its own: it follows the names.
  aligned = values if len(values) == 1 else [value.rjust(wide) for value, wide in zip(values, widths)]
  return "  ".join([name.ljust(width), *aligned])
