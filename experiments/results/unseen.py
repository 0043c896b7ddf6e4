"""The README's tables of one G.pt on many data sets, from experiments/results/unseen_data*.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.results.collect import FOLDER
from g_pt import words, workdir

NAMES = {"unseen_data": "8x8", "unseen_data_mnist_size": "28x28"}
_KINDS = {"training": "sets of the corpus", "test": "unseen mixes"}
_HEAD = (
  "| data sets, final images | one update | whole runs | Nesterov, tuned | steps to match | on Gaussian images | "
  "linear, quadratic discriminants | alignment: loss, error | another set's statistics, permuted classes | command |\n"
  f"|{'---|' * 10}"
)
OF_FEW = ("one update", "one update, then descent", "descent", "linear discriminants", "logistic regression")


def _mean(sets: Sequence[dict[str, Any]], *path: str) -> float | None:
  """None: not all of them have a number; quadratic discriminants may find none with many pixels."""
  values = []
  for one in sets:
    for name in path:
      one = one[name]
    values.append(one)
  return None if None in values else float(np.mean(values))


def _pair(sets: Sequence[dict[str, Any]], *path: str) -> str:
  """Loss and error at what is best for the loss."""
  if _mean(sets, *path, "test_loss") is None:
    return "-"
  return f"{words.number(_mean(sets, *path, 'test_loss'))} / {words.number(_mean(sets, *path, 'test_error'))} %"


def _row(name: str, sets: Sequence[dict[str, Any]], command: str) -> str:
  by_loss, by_error = (("metrics", metric) for metric in ("test_loss", "test_error"))
  ends = f"{words.number(_mean(sets, *by_loss, 'end'))} / {words.number(_mean(sets, *by_error, 'end'))} %"
  cells = [name, _pair(sets, *by_loss, "one_update"), ends]
  if "rivals" in sets[0]:
    steps = [one["rivals"]["steps to match"]["test_loss"]["steps"] for one in sets]
    known = [one for one in steps if one is not None]
    cells += [
      _pair(sets, "rivals", "nesterov", "test_loss"),
      words.steps(float(np.mean(known))) if len(known) == len(steps) else "never for some",
      _pair(sets, "rivals", "nesterov on Gaussian images", "test_loss"),
      ", ".join(_pair(sets, "rivals", f"{kind} discriminants") for kind in ("linear", "quadratic")),
    ]
  else:
    cells += ["-"] * 4
  cells.append(", ".join(words.number(_mean(sets, *by, "alignment")) for by in (by_loss, by_error)))
  if "controls" in sets[0]["metrics"]["test_loss"]:
    controls = ("another data set", "permuted classes")
    cells.append(", ".join(words.number(_mean(sets, *by_loss, "controls", one, "alignment")) for one in controls))
  else:
    cells.append("-")
  return f"| {' | '.join([*cells, command])} |"


def table() -> str:
  """A row for the sets of each kind, and for each source that is in no corpus."""
  lines = [_HEAD]
  for name, size in NAMES.items():
    content = workdir.read_json(FOLDER / f"{name}.json")
    if content is None:
      continue
    sets, command = content["summaries"][0]["data_sets"]["sets"], f"`{content['command']}`"
    rows = {}
    for kind, label in _KINDS.items():
      of_kind = [one for one in sets if one["kind"] == kind]
      if of_kind:
        rows[f"{size}: {len(of_kind)} {label}"] = of_kind
    rows |= {f"{size}: **{one['name']}**, in no corpus": [one] for one in sets if one["kind"] == "held out"}
    for number, (label, of_row) in enumerate(rows.items()):
      lines.append(_row(label, of_row, "the same" if number else command))
  return "\n".join(lines)


def classes_table() -> str:
  """By number of classes a row for unseen mixes, and for the first classes of each source that is in no corpus."""
  lines = ["| classes of a data set | start | one update | whole runs | alignment: loss, error |", f"|{'---|' * 5}"]
  for name, size in NAMES.items():
    content = workdir.read_json(FOLDER / f"{name}.json")
    sets = content["summaries"][0].get("class_counts", {"sets": []})["sets"] if content else []
    rows: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for one in sets:
      rows.setdefault((one["count"], str(_KINDS.get(one["kind"], one["name"]))), []).append(one)
    lines += [_of_count(f"{size}: {count}, {label}", of_row) for (count, label), of_row in rows.items()]
  return "\n".join(lines)


def _of_count(label: str, sets: Sequence[dict[str, Any]]) -> str:
  cells = [words.number(_mean(sets, "metrics", "test_loss", name)) for name in ("start", "one_update", "end")]
  both = (words.number(_mean(sets, "metrics", metric, "alignment")) for metric in ("test_loss", "test_error"))
  return f"| {' | '.join([label, *cells, ', '.join(both)])} |"


def few_table() -> str:
  """Loss and error by images of a class, of each source that is in no corpus."""
  lines = []
  for name, size in NAMES.items():
    content = workdir.read_json(FOLDER / f"{name}.json")
    sets = content["summaries"][0].get("few_examples", {"sets": []})["sets"] if content else []
    for one in (one for one in sets if one["kind"] == "held out"):
      counts = one["counts"]
      lines += [
        f"| {size} {one['name']}, images of a class | {' | '.join(str(x['count']) for x in counts)} |",
        f"|{'---|' * (len(counts) + 1)}",
        *(_of_few(way, [x["ways"] for x in counts]) for way in OF_FEW),
        "",
      ]
  return "\n".join(lines).rstrip()


def _of_few(way: str, counts: Sequence[dict[str, Any]]) -> str:
  found = [(one[way]["test_loss"], one[way]["test_error"]) for one in counts]
  cells = ["-" if loss is None else f"{words.number(loss)} / {words.number(error)} %" for loss, error in found]
  return f"| {way} | {' | '.join(cells)} |"
