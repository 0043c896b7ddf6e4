"""What training tells: metrics.jsonl, TensorBoard events, and numbers that are still on the device."""

from __future__ import annotations

import json
from pathlib import Path

import jax
from jaxtyping import Array
import numpy as np

from g_pt import processes, workdir


class DivergenceError(RuntimeError):
  """The loss or the gradient is not finite; the message names the step."""


class Log:
  """metrics.jsonl and TensorBoard events, of the first process. Lines past the step one resumes from are cut off."""

  def __init__(self, directory: Path, step: int):
    self._writes = processes.first()
    if not self._writes:
      return
    self._file = directory / workdir.METRICS
    lines = self._file.read_text().splitlines() if self._file.exists() else []
    # A line cut short by a kill is past the last checkpoint, like all that is not kept here.
    kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
    workdir.write_bytes(self._file, "".join(line + "\n" for line in kept).encode())
    from tensorboardX import SummaryWriter  # takes seconds where PyTorch is installed, which it imports

    self._events = SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1)

  def write(self, step: int, values: dict[str, float]) -> None:
    if not self._writes:
      return
    with self._file.open("a") as file:
      file.write(json.dumps({"step": step, **values}) + "\n")
    for name, value in values.items():
      self._events.add_scalar(name, value, step)

  def close(self) -> None:
    if self._writes:
      self._events.close()


class Pending:
  """Numbers of steps still on the device; looked at together, so that the device never waits for the host."""

  def __init__(self):
    self._values: list[tuple[int, dict[str, Array]]] = []

  def add(self, step: int, values: dict[str, Array]) -> None:
    self._values.append((step, values))

  def collect(self) -> dict[str, float]:
    """Means since the last call; DivergenceError at the first number that is not finite."""
    host = jax.device_get([values for _, values in self._values])
    for (step, _), values in zip(self._values, host):
      for name, value in values.items():
        if not np.isfinite(value):
          raise DivergenceError(f"training diverged: the {name.replace('_', ' ')} of step {step} is {value}")
    self._values.clear()
    return {name: float(np.mean([values[name] for values in host])) for name in host[0]} if host else {}
