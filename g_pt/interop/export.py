"""Networks that a trained G.pt samples -> safetensors and PyTorch `state_dict`s.

    python -m g_pt.interop.export --workdir=runs/digits_loss --prompt=0.1 --out=networks --networks=4

Untrained networks are drawn from the seed and updated once. Each leaves as
`000.safetensors` and `000.pt`, with the names and axes of the paper's modules:

    module.load_state_dict(torch.load("networks/000.pt"))

The prompt, what was measured and the seed are in the metadata of both: strings
in `safe_open(...).metadata()`, and `torch.load(...)._metadata["g_pt"]`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
import dataclasses
import io
import json
import operator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from g_pt import trained, workdir
from g_pt.errors import UserError
from g_pt.gpt import GPT
from g_pt.interop import command, layout
from g_pt.keys import stream
from g_pt.parameters import Parameters
from g_pt.tasks.base import Task

FORMATS = ("safetensors", "pt")


def safetensors_bytes(task: Task, network: Parameters, metadata: dict[str, Any]) -> bytes:
  """One network as a safetensors file, under PyTorch's names; values of the metadata that are no text are JSON."""
  texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}
  return command.library("safetensors.numpy").save(layout.state_of_network(task, network), metadata=texts)


def torch_bytes(task: Task, network: Parameters, metadata: dict[str, Any]) -> bytes:
  """One network as a PyTorch file that holds its `state_dict`, the metadata where PyTorch keeps its own."""
  torch = command.library("torch")
  arrays = layout.state_of_network(task, network)
  state = OrderedDict((name, torch.from_numpy(np.array(array))) for name, array in arrays.items())
  vars(state)["_metadata"] = OrderedDict({"": {"version": 1}, "g_pt": metadata})
  buffer = io.BytesIO()
  torch.save(state, buffer)
  return buffer.getvalue()


def export_networks(
  gpt: GPT,
  prompt: float,
  out: str | Path,
  *,
  networks: int = 1,
  seed: int = 0,
  steps: int | None = None,
  formats: Sequence[str] = FORMATS,
) -> list[dict[str, Any]]:
  """Draws untrained networks, updates each once and writes it to `out`; returns their metadata.

  `steps` are evaluations of the model a sample; None: as configured. Raises
  UserError on a bad prompt, or where `out` holds networks already.
  """
  out, writers = Path(out), {"safetensors": safetensors_bytes, "pt": torch_bytes}
  if networks < 1:
    raise UserError(f"--networks: {networks} is less than 1")
  if steps is not None and not 1 <= steps <= len(gpt.generator.schedule.timestep):
    raise UserError(
      f"--steps: {steps} is not between 1 and the {len(gpt.generator.schedule.timestep)} of the diffusion"
    )
  for name in formats:
    command.library({"safetensors": "safetensors.numpy", "pt": "torch"}[name])
    if next(out.glob(f"*.{name}"), None):
      raise UserError(f"{out}: holds networks already; choose another --out")
  start_key, sample_key = stream(seed, "export", "start"), stream(seed, "export", "sample")
  # One after another, as batched decompositions may hang on a CPU.
  start = jax.lax.map(gpt.task.network.init, jax.random.split(start_key, networks))
  updated = gpt.sample(start, prompt, key=sample_key, steps=steps)
  before, after = gpt.measure(start), jax.device_get(gpt.measure_all(updated))
  config = gpt.config if steps is None else dataclasses.replace(gpt.config, steps=steps)
  written = []
  for i in range(networks):
    metadata = {
      "task": gpt.task.name,
      "metric": gpt.metric_name,
      "prompt": float(prompt),
      "start": float(before[i]),
      "measured": float(after[gpt.metric_name][i]),
      "metrics": {name: float(values[i]) for name, values in after.items()},
      "seed": seed,
      "network": i,
      "networks": networks,  # the draw depends on how many there are
      "sample": dataclasses.asdict(config),
    }
    network = jax.tree.map(operator.itemgetter(i), updated)
    for name in formats:
      workdir.write_bytes(out / f"{i:03d}.{name}", writers[name](gpt.task, network, metadata))
    written.append(metadata)
  return written


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m g_pt.interop.export")
  parser.add_argument("--workdir", required=True, help="of a trained G.pt, or all else that g_pt.load opens")
  parser.add_argument("--prompt", required=True, type=float, help="the metric to ask for")
  parser.add_argument("--out", required=True, type=Path, help="folder to write")
  parser.add_argument("--networks", type=int, default=1, help="how many; default: 1")
  parser.add_argument("--seed", type=int, default=0, help="of the untrained networks and of the samples; default: 0")
  parser.add_argument("--steps", type=int, help="evaluations of the model a sample; default: as configured")
  parser.add_argument("--format", action="append", choices=FORMATS, help="may be repeated; default: both")
  given = parser.parse_args(arguments)
  gpt = trained.load_for_one_set(given.workdir)
  written = export_networks(
    gpt,
    given.prompt,
    given.out,
    networks=given.networks,
    seed=given.seed,
    steps=given.steps,
    formats=given.format or FORMATS,
  )
  for metadata in written:
    change = f"{gpt.metric_name} {metadata['start']:.4g} -> {metadata['measured']:.4g}"
    print(f"{given.out / format(metadata['network'], '03d')}: prompt {given.prompt:g}, {change}")


if __name__ == "__main__":
  command.run(main, "export")
