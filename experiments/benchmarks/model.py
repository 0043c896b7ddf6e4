"""Forward pass and training step of the models on this machine, the paper's beside the same module in PyTorch.

  command   python -m experiments.benchmarks.model [--widths=64,256,512] [--batch=64] [--out=FILE.json]

The chunk transformer has the tokens of MNIST networks (26: 11 chunks of at most
1,000 of the noised network, 11 of the start, 4 scalars), 12 blocks and 16 heads.
On digits, the neuron transformer is that of experiments/digits_loss.py and the
chunk transformer that of its variant `chunk`, of nearly its alignment; below them a
step of Muon alone for their weights, and of optax's Muon. Seconds are
medians; FLOP/s count matrix products (a training step is three forward passes),
and their fraction of the peak is that of a large product in the same process.
PyTorch, where it is installed (extra `torch`), has a process of its own on all
cores.
"""

from __future__ import annotations

from g_pt.host_memory import keep_freed_memory

keep_freed_memory()  # above all imports that bring JAX

import argparse
import functools
import importlib.util
import json
from pathlib import Path
import subprocess
import sys
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import optax

from experiments import digits_loss
from experiments.benchmarks import hlo, measure
from g_pt import config, tasks
from g_pt.models.chunk_transformer import ChunkTransformer, ChunkTransformerConfig, token_sizes
from g_pt.models.neuron_transformer import NeuronTransformer
from g_pt.train.muon import muon

DEPTH, HEADS, REPEATS = 12, 16, 7


def times(module: nn.Module, size: int, batch: int) -> dict[str, float]:
  """Seconds of a forward pass and of a training step by AdamW, and the FLOP of a forward pass's matrix products."""
  keys = jax.random.split(jax.random.key(0), 6)
  vectors = [jax.random.normal(key, (batch, size)) for key in keys[:3]]
  scalars = [jax.random.uniform(key, (batch,)) for key in keys[3:]]
  inputs, target = (*vectors[:2], *scalars), vectors[2]
  weights = jax.jit(module.init)(keys[0], *inputs)
  optimizer = optax.adamw(1e-4)
  forward = jax.jit(module.apply)
  forward_seconds = measure.seconds(lambda: forward(weights, *inputs), REPEATS)

  def loss(weights):
    return jnp.mean((jnp.asarray(module.apply(weights, *inputs)) - target) ** 2)

  @functools.partial(jax.jit, donate_argnums=(0, 1))
  def step(weights, state):
    gradient = jax.grad(loss)(weights)
    updates, state = optimizer.update(gradient, state, weights)
    return optax.apply_updates(weights, updates), state

  trained = jax.tree.map(jnp.copy, weights), optimizer.init(weights)

  def train():
    nonlocal trained
    trained = step(*trained)
    return trained

  return {
    "forward": forward_seconds,
    "train": measure.seconds(train, REPEATS),
    "flop": hlo.products(jax.make_jaxpr(module.apply)(weights, *inputs).jaxpr),
    "weights": sum(x.size for x in jax.tree.leaves(weights)),
  }


def pytorch(width: int, batch: int, sizes: Any) -> dict[str, float] | None:
  """The same of the same module in PyTorch; None where that is not installed."""
  if importlib.util.find_spec("torch") is None:
    return None
  arguments = {"width": width, "depth": DEPTH, "heads": HEADS, "batch": batch, "sizes": sizes, "repeats": REPEATS}
  command = [sys.executable, "-m", "experiments.benchmarks.pytorch_model", json.dumps(arguments)]
  return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def muon_times(module: nn.Module, size: int) -> dict[str, float]:
  """Seconds of one step of Muon for a model's weights, ours and optax's, gradients given."""
  vector, scalar = jnp.zeros((1, size)), jnp.zeros((1,))
  weights = jax.jit(module.init)(jax.random.key(0), vector, vector, scalar, scalar, scalar)
  gradient = jax.tree.map(lambda x: jax.random.normal(jax.random.key(1), x.shape), weights)

  def of(optimizer: optax.GradientTransformation) -> float:
    state, step = optimizer.init(weights), jax.jit(optimizer.update)
    return measure.seconds(lambda: step(gradient, state, weights), REPEATS)

  ours = muon(1e-3, 0.9, 0.99, 0.0, lambda tree: jax.tree.map(lambda x: x.ndim > 1, tree))
  return {"ours": of(ours), "optax": of(optax.contrib.muon(1e-3, consistent_rms=0.2))}


def row(name: str, result: dict[str, float], peak: float, other: dict[str, float] | None = None) -> list[str]:
  cells = [name, f"{result['weights'] / 1e6:.1f}"]
  for kind, passes in (("forward", 1), ("train", 3)):
    cells += [f"{1e3 * result[kind]:.1f}", f"{passes * result['flop'] / result[kind] / peak:.0%}"]
    cells.append(f"{other[kind] / result[kind]:.2f}" if other else "")
  return cells


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("--widths", default="64,256,512")
  parser.add_argument("--batch", type=int, default=64, help="pairs of networks")
  parser.add_argument("--out", type=Path, help="JSON file to write")
  arguments = parser.parse_args()
  peak, batch = measure.peak(), arguments.batch
  results: dict[str, Any] = {"peak_flop_per_second": peak, "batch": batch}
  lines = []
  spec = tasks.get("mnist").spec
  for width in map(int, arguments.widths.split(",")):
    model = ChunkTransformerConfig(width=width, depth=DEPTH, heads=HEADS)
    ours = times(ChunkTransformer(spec, model), spec.size, batch)
    theirs = pytorch(width, batch, token_sizes(spec.sizes, model))
    results[f"chunk transformer {width}"] = {"jax": ours, "pytorch": theirs}
    lines.append(row(f"chunk transformer, width {width}", ours, peak, theirs))
    if theirs:
      lines.append(row("  the same in PyTorch", theirs | {"flop": ours["flop"]}, peak))
  spec = tasks.get("digits").spec
  on_digits = {
    "neuron transformer, digits": (NeuronTransformer, "default"),
    "chunk transformer, digits": (ChunkTransformer, "chunk"),
  }
  for name, (module, variant) in on_digits.items():
    sizes = config.parse(digits_loss.get_config(variant).to_dict()).model
    built = module(spec, sizes, residual=False)
    ours = times(built, spec.size, batch)
    results[name] = {"jax": ours, "muon": muon_times(built, spec.size)}
    lines.append(row(name, ours, peak))
  ways = [f"{kind} {unit}" for kind in ("forward", "train") for unit in ("ms", "of peak", "faster")]
  print(measure.table([f"batch {batch}", "M weights", *ways], lines))
  print(f"matrix-product peak {peak / 1e9:.0f} GFLOP/s; `faster`: PyTorch's time over ours")
  for name in on_digits:
    steps = results[name]["muon"]
    print(f"a step of Muon, {name}: {1e3 * steps['ours']:.1f} ms, by optax {1e3 * steps['optax']:.1f} ms")
  if arguments.out:
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
  main()
