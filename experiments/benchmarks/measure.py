"""What the benchmarks share: the machine's peak, medians, stages as processes of their own, a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import itertools
import json
import os
from pathlib import Path
import statistics
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp


def seconds(function: Callable[[], object], repeats: int) -> float:
  """Median wall time of a call, after one that compiles."""
  jax.block_until_ready(function())
  times = []
  for _ in range(repeats):
    began = time.perf_counter()
    jax.block_until_ready(function())
    times.append(time.perf_counter() - began)
  return statistics.median(times)


def peak(size: int = 4096, repeats: int = 7) -> float:
  """FLOP/s of a large float32 matrix product on all cores of this process: the limit that fractions are of."""
  matrix = jnp.ones((size, size))
  product = jax.jit(jnp.matmul)
  return 2 * size**3 / seconds(lambda: product(matrix, matrix), repeats)


def stage(config: str, name: str, workdir: Path, changes: Mapping[str, Any], devices: int = 1) -> float:
  """Runs a stage by `main.py`, a process of its own, and returns its peak of memory in bytes.

  `changes` are fields of the configuration; `devices` of a CPU are virtual ones.
  """
  command = [sys.executable, "main.py", f"--config={config}", f"--workdir={workdir}", f"--stage={name}"]
  flags = [f"--config.{field}={value}" for field, value in changes.items()]
  more = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
  job = subprocess.Popen([*command, *flags], env=os.environ | {"XLA_FLAGS": more}, stdout=subprocess.DEVNULL)
  _, status, used = os.wait4(job.pid, 0)
  if status:
    sys.exit(f"{workdir}: {name} ended with status {os.waitstatus_to_exitcode(status)}")
  return 1024.0 * used.ru_maxrss


def step_seconds(workdir: Path) -> float:
  """Of a training step, by the log: the median over its lines, the first ones, which compile, left out."""
  lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
  parts = itertools.pairwise(lines[1:])
  return statistics.median((b["seconds"] - a["seconds"]) / (b["step"] - a["step"]) for a, b in parts)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Columns of text, the first to the left and the others to the right."""
  lines = [list(header), *[list(row) for row in rows]]
  widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
  texts = [[line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:]))] for line in lines]
  return "\n".join("  ".join(line) for line in texts)
