"""Writes the README's results from the summaries in experiments/results, so that no number is typed twice.

  command   python -m experiments.results.readme [--check]

Each table stands between two marks in README.md. `--check` writes nothing and
fails where one is not what the summaries say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from experiments.results import answers, scaling, tpu, unseen
from experiments.results.collect import FOLDER
from g_pt import command, words, workdir
from g_pt.errors import UserError
from g_pt.tasks.base import SHARED_PARTS

README = FOLDER.parents[1] / "README.md"
_HEAD = """| what | recorded data | held-out data | published | command |
|---|---|---|---|---|"""


class Experiment(NamedTuple):
  """What the README tells of one experiment; `published` by the row that it stands beside."""

  name: str
  title: str
  unit: str = ""
  published: dict[str, str] = {}


EXPERIMENTS = (
  Experiment("digits_loss", "digits, test loss"),
  Experiment("digits_error", "digits, test error", " %"),
  Experiment("mnist_loss", "MNIST, test loss", published={"update": "0.19 to 0.21", "steps": "7,500 (Adam)"}),
  Experiment("mnist_error", "MNIST, test error", " %", {"update": "6 %"}),
  Experiment("mnist_loss_long", "MNIST `:long`, test loss", published={"update": "0.19 to 0.21"}),
  Experiment("mnist_error_long", "MNIST `:long`, test error", " %", {"update": "6 %"}),
  Experiment("cifar10_loss", "CIFAR-10, test loss"),
  Experiment("cifar10_error", "CIFAR-10, test error", " %", {"update": "51.2 %"}),
  Experiment("cifar10_loss_long", "CIFAR-10 `:long`, test loss"),
  Experiment("cifar10_error_long", "CIFAR-10 `:long`, test error", " %", {"update": "51.2 %"}),
  Experiment("cartpole_return", "Cartpole, mean return", published={"update": "439", "steps": "1,300 (Adam)"}),
  Experiment("cartpole_return_long", "Cartpole `:long`, mean return", published={"update": "439"}),
)


def over_seeds(summaries: list[dict[str, Any]], value: Callable[[dict[str, Any]], float], unit: str = "") -> str:
  """The value of one seed, or the mean and range of several."""
  values = [value(summary) for summary in summaries]
  text = f"{words.number(sum(values) / len(values))}{unit}"
  if len(values) > 1:
    text += f" ({words.number(min(values))} to {words.number(max(values))})"
  return text


def _alignment(part: str) -> Callable[[dict[str, Any]], float]:
  return lambda summary: summary["alignment"]["test"][part]["mean"]


def _update(part: str, number: str) -> Callable[[dict[str, Any]], float]:
  return lambda summary: summary["one_update"]["numbers"][part][summary["metric"]][number]


def steps(summary: dict[str, Any], part: str) -> str:
  """Steps to match of every optimizer with their intervals, the fastest first."""
  found = summary["one_update"]["optimizers"][part]
  matched = sorted((match["steps"], name) for name, match in found.items() if match["steps"] is not None)
  never = [words.optimizer(name) for name, match in found.items() if match["steps"] is None]
  texts = []
  for count, name in matched:
    low, high = found[name]["interval"]
    upper = "more" if high is None else words.number(high)
    texts.append(f"{words.optimizer(name)} {words.number(count)} ({words.number(low)} to {upper})")
  if never:
    texts.append(f"{', '.join(never)}: never")
  return "; ".join(texts)


def rows(experiment: Experiment, content: dict[str, Any]) -> list[str]:
  """Markdown rows of one experiment."""
  summaries = content["summaries"]
  first, parts = summaries[0], SHARED_PARTS
  seeds = f"{len(summaries)} seeds" if len(summaries) > 1 else "one seed"
  ends = over_seeds(summaries, lambda summary: summary["corpus"]["final_mean"], experiment.unit)
  start = over_seeds(summaries[:1], _update("recorded", "start"), experiment.unit)
  prompt = f"{words.setting(first['one_update']['prompt'])}{experiment.unit}"
  cells = [
    (
      f"{experiment.title}: prompt alignment on test runs, {seeds}",
      *(over_seeds(summaries, _alignment(part)) for part in parts),
      experiment.published.get("alignment", "-"),
    ),
    (
      f"{experiment.title} after one update, prompt {prompt}, from {start} (runs end at {ends})",
      *(over_seeds(summaries, _update(part, "mean"), experiment.unit) for part in parts),
      experiment.published.get("update", "-"),
    ),
  ]
  if "whole" in first["one_update"]["numbers"]:
    whole = over_seeds(summaries, _update("whole", "mean"), experiment.unit)
    cells[1] = (f"{cells[1][0]}; on the whole test set {whole}", *cells[1][1:])
  if first["one_update"]["optimizers"]["recorded"]:
    note = ", seed 0" if len(summaries) > 1 else ""
    cells.append(
      (
        f"{experiment.title}: optimizer steps that one update is worth{note}",
        *(steps(first, part) for part in parts),
        experiment.published.get("steps", "-"),
      )
    )
  commands = [f"`{content['command']}`", *["the same"] * (len(cells) - 1)]
  return [f"| {' | '.join(row)} | {command} |" for row, command in zip(cells, commands)]


def table() -> str:
  """The rows of all experiments whose summaries are there, and on which processors they were measured."""
  lines, processors = [_HEAD], []
  for experiment in EXPERIMENTS:
    content = workdir.read_json(FOLDER / f"{experiment.name}.json")
    if content is not None:
      lines += rows(experiment, content)
      processors.append(content["processor"])
  measured = "; ".join(dict.fromkeys(processors))
  return "\n".join([f"Measured on {measured}.", "", *lines])


TABLES: dict[str, Callable[[], str]] = {
  "results": table,
  "answers": answers.table,
  "scaling": scaling.table,
  "tpu": tpu.table,
  "unseen": unseen.table,
  "few": unseen.few_table,
  "classes": unseen.classes_table,
}


def block(name: str) -> tuple[str, str]:
  """The marks around a table."""
  return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def written(text: str) -> str:
  """The README with its tables as the summaries say; UserError where a mark is missing."""
  for name, made in TABLES.items():
    begin, end = block(name)
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
      raise UserError(f"README.md: no {begin} and {end}")
    text = f"{before}{begin}\n{made()}\n{end}{after}"
  return text


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m experiments.results.readme")
  parser.add_argument("--check", action="store_true", help="only say whether README.md is up to date")
  check, text = parser.parse_args(arguments).check, README.read_text()
  wanted = written(text)
  if check and wanted != text:
    raise UserError("README.md: its tables are not those of experiments/results; python -m experiments.results.readme")
  if not check:
    workdir.write_bytes(README, wanted.encode())


if __name__ == "__main__":
  command.run(main, "readme")
