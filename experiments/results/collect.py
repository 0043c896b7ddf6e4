"""Keeps the summaries of evaluated workdirs beside the experiments, for the README's rows.

  command   python -m experiments.results.collect runs/digits_loss [MORE WORKDIRS] [--name=NAME]

Several workdirs are seeds of one experiment, see `experiments.results.seeds`. The
file is experiments/results/NAME.json; the default NAME is that of the first folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
import os
from pathlib import Path
import platform
from typing import Any

from g_pt import command, workdir
from g_pt.errors import UserError

FOLDER = Path(__file__).parent
_LIBRARIES = ("jax", "jaxlib", "flax", "optax")


def processor() -> str:
  """The processor's name, as well as the system tells it."""
  try:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:
    return platform.processor() or platform.machine()
  fields = dict(line.split(":", 1) for line in lines if ":" in line)
  fields = {name.strip(): value.strip() for name, value in fields.items()}
  vectors = " with AVX-512" if "avx512f" in fields.get("flags", "") else ""
  return f"{fields.get('model name', platform.machine())}{vectors}, {os.cpu_count()} cores"


def _config_of(name: str) -> str:
  """NAME of an experiment, or NAME_VARIANT -> the file of its configuration, with the variant."""
  parts = name.split("_")
  for count in range(len(parts), 0, -1):
    experiment, variant = "_".join(parts[:count]), "_".join(parts[count:])
    if (FOLDER.parent / f"{experiment}.py").exists():
      return f"experiments/{experiment}.py:{variant}" if variant else f"experiments/{experiment}.py"
  return f"experiments/{name}.py"


def collect(directories: Sequence[Path], name: str, made_by: str | None = None) -> Path:
  """Writes the file of one experiment; `made_by` is the command that made the workdirs, by default that of the first.

  Raises UserError where a workdir is not evaluated.
  """
  summaries: list[dict[str, Any]] = []
  for directory in directories:
    summary = workdir.read_json(directory / workdir.SUMMARY)
    if summary is None:
      raise UserError(f"{directory}: not evaluated yet ({workdir.SUMMARY} is missing); run --stage=evaluate")
    seed = workdir.read_json(directory / workdir.CONFIG)["seed"]
    summaries.append({"seed": seed, **summary})
  if made_by is None:
    made_by = f"python main.py --config={_config_of(name)} --workdir=runs/{name}"
  content = {
    "command": made_by,
    "processor": processor(),
    "versions": {library: metadata.version(library) for library in _LIBRARIES},
    "summaries": summaries,
  }
  path = FOLDER / f"{name}.json"
  workdir.write_json(path, content)
  return path


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m experiments.results.collect")
  parser.add_argument("workdirs", nargs="+", type=Path)
  parser.add_argument("--name", help="of the experiment; default: the first folder's")
  given = parser.parse_args(arguments)
  print(collect(given.workdirs, given.name or given.workdirs[0].name))


if __name__ == "__main__":
  command.run(main, "collect")
