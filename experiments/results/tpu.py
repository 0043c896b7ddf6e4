"""What a TPU's compiler says of the programs of `:paper`, as a table of the README: a row a program and topology.

`experiments/benchmarks/tpu_compile.py` writes what is kept, and says what the numbers are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.results.collect import FOLDER
from g_pt import workdir

KEPT = FOLDER / "tpu.json"
NAMES = ("topology", "task", "program")  # of a row
HEAD = (
  "program",
  "chips",
  "mesh, or runs of a group",
  "GB given",
  "GB beside",
  "fits",
  "TFLOP",
  "GB moved",
  "GB received",
  "ms, at best",
  "of peak",
  "in rings",
)


def cells(result: Mapping[str, Any]) -> list[str]:
  """One row, by HEAD."""
  seconds = result["seconds"]
  slowest = max(seconds, key=seconds.__getitem__)
  received = [f"{kind} {_giga(size)}" for kind, size in sorted(result["received_bytes"].items())]
  return [
    f"{result['task']}, {result['program']}",
    f"{result['chips']} of {result['topology']}",
    result["mesh"],
    _giga(result["argument_bytes"]),
    _giga(result["temporary_bytes"]),
    "yes" if result["fits"] else "no",
    _rounded(result["flop"] / 1e12),
    _giga(result["memory_bytes"]),
    ", ".join(received) or "none",
    f"{_rounded(1e3 * seconds[slowest])} ({slowest})",
    f"{result['share_of_peak']:.0%}",
    f"{result['share_of_peak_in_rings']:.0%}",
  ]


def _giga(size: float) -> str:
  return _rounded(size / 1e9)


def _rounded(value: float) -> str:
  """Three digits, without an exponent."""
  return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def table() -> str:
  """Markdown of all that is kept, in the order that it was made in."""
  content = workdir.read_json(KEPT) or {"compiler": "", "results": []}
  lines = [HEAD, ["---"] * len(HEAD), *map(cells, content["results"])]
  text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
  return f"Compiled with {content['compiler']}.\n\n{text}" if content["results"] else text
