"""How fast networks are measured: 1,000 for MNIST on all test images, in chunks and one by one in PyTorch.

  command   python -m experiments.benchmarks.evaluation [--networks=1000] [--data_dir=DIR] [--out=FILE.json]

What a sampled network computes takes as long as what any other does: these are
random initial ones. Both ways run in one process on the same cores, one after
the other, and give each network's loss and error. The project measures a chunk
of networks as one program, from the bytes of the images; PyTorch (extra
`torch`) takes each network's whole test set as one batch, images made floats
beforehand and its weights lying ready. Seconds are medians of whole passes over
all networks; FLOP/s count matrix products, and their fraction of the peak is that
of a large product in the same process.
"""

from __future__ import annotations

from g_pt.host_memory import keep_freed_memory

keep_freed_memory()  # above all imports that bring JAX

import argparse
from collections.abc import Callable
import functools
import importlib.util
import json
from pathlib import Path
import sys
from typing import Any

import jax
import numpy as np

from experiments.benchmarks import measure
from g_pt import tasks
from g_pt.chunks import in_chunks, measured_at_once
from g_pt.corpus.generate import initial_parameters, run_keys
from g_pt.tasks import population
from g_pt.tasks.base import Task

REPEATS = 3
_FLOP_OF_IMAGE = 2 * (784 * 10 + 10 * 10)


def chunked(task: Task, theta: jax.Array, judged: Any) -> Callable[[], dict[str, jax.Array]]:
  """All networks by the project: loss and error of each."""
  judged = jax.device_put(judged)
  evaluate = jax.jit(functools.partial(population.evaluate, task))
  return lambda: in_chunks(lambda rows: evaluate(rows, judged), measured_at_once(), theta)


def one_by_one(task: Task, theta: jax.Array, judged: Any) -> Callable[[], dict[str, np.ndarray]]:
  """The same by PyTorch, a network after the other."""
  import torch
  from torch import nn
  import torch.nn.functional as F

  examples = judged.splits["test"]
  inputs = np.array(judged.inputs(examples.images), np.float32).reshape(len(examples.labels), -1)
  images, labels = torch.from_numpy(inputs), torch.from_numpy(np.array(examples.labels, np.int64))

  def network(flat):
    layers = {name: torch.from_numpy(np.array(values)) for name, values in task.spec.layers(flat).items()}
    model = nn.Sequential(nn.Linear(784, 10), nn.ReLU(), nn.Linear(10, 10))
    for layer, name in ((model[0], "layer_0"), (model[2], "layer_1")):
      layer.weight.data = layers[f"{name}/kernel"].T.contiguous()
      layer.bias.data = layers[f"{name}/bias"]
    return model

  networks = [network(flat) for flat in np.asarray(theta)]

  @torch.no_grad()
  def measured():
    numbers = []
    for model in networks:
      logits = model(images)
      wrong = (logits.argmax(1) != labels).float().mean()
      numbers.append((float(F.cross_entropy(logits, labels)), 100 * float(wrong)))
    loss, error = np.array(numbers).T
    return {"test_loss": loss, "test_error": error}

  return measured


def measured(task: Task, networks: int, data_dir: str | None) -> dict[str, Any]:
  """Seconds of both ways; they must agree on every number."""
  data, recipe = task.load(data_dir), task.training.recipe
  judged = task.measurement.part(data, recipe, "whole")
  theta = jax.jit(functools.partial(initial_parameters, task))(run_keys(0, range(networks)))
  ways: dict[str, Callable[[], Any]] = {"in chunks": chunked(task, theta, judged)}
  if importlib.util.find_spec("torch") is not None:
    ways["one by one, PyTorch"] = one_by_one(task, theta, judged)
  images = len(judged.splits["test"].labels)
  seconds, expected = {}, ways["in chunks"]()
  for name, way in ways.items():
    for number, values in way().items():
      np.testing.assert_allclose(values, expected[number], rtol=2e-3, atol=1e-3, err_msg=f"{name}: {number}")
    seconds[name] = measure.seconds(way, REPEATS)
  flop, peak = networks * images * _FLOP_OF_IMAGE, measure.peak()
  return {
    "networks": networks,
    "at_once": measured_at_once(),
    "images": images,
    "peak_flop_per_second": peak,
    "seconds": seconds,
    "fraction_of_peak": {name: flop / taken / peak for name, taken in seconds.items()},
  }


def rows(result: dict[str, Any]) -> list[list[str]]:
  lines = []
  for name, taken in result["seconds"].items():
    ratio = taken / result["seconds"]["in chunks"]
    lines.append([name, f"{taken:.3g}", f"{result['fraction_of_peak'][name]:.0%}", f"{ratio:.1f}"])
  return lines


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("--networks", type=int, default=1000)
  parser.add_argument("--data_dir", help="where TFDS keeps the images")
  parser.add_argument("--out", type=Path, help="JSON file to write")
  arguments = parser.parse_args()
  result = measured(tasks.get("mnist"), arguments.networks, arguments.data_dir)
  print(json.dumps(result), file=sys.stderr)
  print(f"{result['networks']} networks on {result['images']} images, {result['at_once']} at once")
  print(measure.table(["", "seconds", "of peak", "chunks are faster"], rows(result)))
  print(f"matrix-product peak {result['peak_flop_per_second'] / 1e9:.0f} GFLOP/s")
  if arguments.out:
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
  main()
