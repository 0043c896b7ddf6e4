"""Training of G.pt: one jitted step, and the loop around it."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import json
from pathlib import Path
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree
import numpy as np
import optax
from tensorboardX import SummaryWriter
from tqdm import tqdm

from g_pt import sharding, workdir
from g_pt.checkpointing import Checkpoints
from g_pt.corpus.pairs import PairsConfig, PairSource, draw_pairs
from g_pt.generator import Generator

OPTIMIZERS = ("adamw", "muon")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  steps: int
  batch_size: int = 256  # pairs
  microbatches: int = 4  # parts of a batch, one after another, so that activations stay in the cache
  optimizer: str = "adamw"  # one of OPTIMIZERS
  learning_rate: float = 1e-3
  warmup_steps: int = 100
  final_learning_rate: float = 0.01  # as a fraction of the learning rate, at the end of its cosine
  b1: float = 0.9
  b2: float = 0.99
  weight_decay: float = 0.01  # on kernels alone, in proportion to the learning rate
  clip_norm: float = 1.0  # of the gradient over all weights
  average_decay: float = 0.999  # of the exponential moving average that is sampled from
  pairs: PairsConfig = PairsConfig()
  log_every: int = 50  # steps
  checkpoint_every: int = 500
  probe_every: int = 500  # steps between measurements of prompt alignment on held-out runs; 0: never

  def __post_init__(self):
    for name in ("steps", "batch_size", "microbatches", "log_every", "checkpoint_every"):
      if getattr(self, name) < 1:
        raise ValueError(f"train.{name}: {getattr(self, name)} is less than 1")
    if self.optimizer not in OPTIMIZERS:
      raise ValueError(f"train.optimizer: unknown {self.optimizer!r}; it is one of: {', '.join(OPTIMIZERS)}")
    if self.batch_size % self.microbatches:
      raise ValueError(
        f"train.batch_size: {self.batch_size} is not a multiple of train.microbatches={self.microbatches}"
      )


class TrainState(NamedTuple):
  step: Int[Array, ""]  # updates made
  weights: PyTree
  average: PyTree  # exponential moving average of the weights
  optimizer: PyTree


class DivergenceError(RuntimeError):
  """The loss or the gradient is not finite; the message names the step."""


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
  """AdamW or Muon with warm-up, cosine and clipping; weight decay on kernels, not on biases.

  Muon (Jordan et al. 2024) orthogonalises the momentum of kernels, scaled so
  that its updates are as large as AdamW's (Liu et al. 2025), which biases keep.
  """
  rate = optax.warmup_cosine_decay_schedule(
    0.0,
    config.learning_rate,
    config.warmup_steps,
    max(config.steps, config.warmup_steps + 1),
    config.learning_rate * config.final_learning_rate,
  )
  if config.optimizer == "adamw":
    optimizer = optax.adamw(rate, config.b1, config.b2, weight_decay=config.weight_decay, mask=_kernels)
  else:
    optimizer = optax.contrib.muon(
      rate,
      adam_b1=config.b1,
      adam_b2=config.b2,
      weight_decay=config.weight_decay,
      weight_decay_mask=_kernels,
      consistent_rms=0.2,
    )
  return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)


def _kernels(weights: PyTree) -> PyTree:
  """True for the kernels of linear layers: neither biases nor positions decay."""
  return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", weights)


def init_state(generator: Generator, optimizer: optax.GradientTransformation, key: Array) -> TrainState:
  weights = generator.init(key)
  return TrainState(jnp.int32(0), weights, jax.tree.map(jnp.copy, weights), optimizer.init(weights))


def train_step(
  generator: Generator,
  optimizer: optax.GradientTransformation,
  config: TrainConfig,
  mesh: jax.sharding.Mesh,
  source: PairSource,
  key: Array,
  state: TrainState,
  data: Any = None,
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
  """One update on a fresh batch. Its randomness is folded from the key and the step, so it can be repeated.

  `data` is the task's, for a generator whose loss compares behaviour.
  """
  pair_key, noise_key = jax.random.split(jax.random.fold_in(key, state.step))
  pairs = draw_pairs(source, generator.spec, config.pairs, pair_key, config.batch_size)
  parts = jax.tree.map(lambda x: x.reshape(config.microbatches, -1, *x.shape[1:]), pairs)
  parts = sharding.shard_batch(parts, mesh, axis=1)

  def accumulate(total, part):
    value = jax.value_and_grad(generator.loss)(state.weights, *part, data)
    return jax.tree.map(jnp.add, total, value), None

  zero = (jnp.float32(0), jax.tree.map(jnp.zeros_like, state.weights))
  total, _ = jax.lax.scan(accumulate, zero, (parts, jax.random.split(noise_key, config.microbatches)))
  loss, gradients = jax.tree.map(lambda x: x / config.microbatches, total)

  updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.weights)
  weights = optax.apply_updates(state.weights, updates)
  # A young average follows faster, so that it forgets the random weights.
  decay = jnp.minimum(config.average_decay, (1.0 + state.step) / (10.0 + state.step))
  average = jax.tree.map(lambda a, w: decay * a + (1.0 - decay) * w, state.average, weights)
  return (
    TrainState(state.step + 1, weights, average, optimizer_state),
    {"loss": loss, "gradient_norm": optax.tree.norm(gradients)},
  )


class Log:
  """metrics.jsonl and TensorBoard events. Lines past the step one resumes from are cut off."""

  def __init__(self, directory: Path, step: int):
    self._file = directory / workdir.METRICS
    lines = self._file.read_text().splitlines() if self._file.exists() else []
    # A line cut short by a kill is past the last checkpoint, like all that is not kept here.
    kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
    workdir.write_bytes(self._file, "".join(line + "\n" for line in kept).encode())
    self._events = SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1)

  def write(self, step: int, values: dict[str, float]) -> None:
    with self._file.open("a") as file:
      file.write(json.dumps({"step": step, **values}) + "\n")
    for name, value in values.items():
      self._events.add_scalar(name, value, step)

  def close(self) -> None:
    self._events.close()


class _Pending:
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


def train(
  generator: Generator,
  source: PairSource,
  config: TrainConfig,
  mesh: jax.sharding.Mesh,
  seed: int,
  directory: str | Path,
  probe: Callable[[PyTree], dict[str, float]] | None = None,
  data: Any = None,
) -> PyTree:
  """Trains, or goes on from the last checkpoint in `directory`; returns the averaged weights.

  `probe` measures the averaged weights every `probe_every` steps; `data` is as in `train_step`. Raises
  DivergenceError on a non-finite loss; the last good checkpoint stays.
  """
  sharding.check_batch("train.batch_size / train.microbatches", config.batch_size // config.microbatches, mesh)
  directory = Path(directory)
  init_key, step_key = jax.random.split(jax.random.key(seed))
  optimizer = make_optimizer(config)
  everywhere = sharding.replicated(mesh)
  init = jax.jit(functools.partial(init_state, generator, optimizer), out_shardings=everywhere)
  step_fn = jax.jit(functools.partial(train_step, generator, optimizer, config, mesh), donate_argnums=2)
  source, data = jax.device_put((source, data), everywhere)
  with Checkpoints(directory / "checkpoints") as checkpoints:
    state, seconds = init(init_key), 0.0
    if checkpoints.latest is not None:
      state, progress = checkpoints.restore(state)
      seconds = progress["seconds"]
    first = int(state.step)
    if first >= config.steps:
      return state.average
    log, pending, began = Log(directory, first), _Pending(), time.monotonic() - seconds
    bar = tqdm(total=config.steps, initial=first, desc="train", unit="step")
    try:
      for step in range(first + 1, config.steps + 1):
        state, values = step_fn(source, step_key, state, data)
        pending.add(step, values)
        last, shown = step == config.steps, {}
        if step % config.log_every == 0 or last:
          shown = pending.collect()
        if probe and (last or config.probe_every and step % config.probe_every == 0):
          shown |= pending.collect() | probe(state.average)
        if shown:
          log.write(step, shown | {"seconds": round(time.monotonic() - began, 3)})
          bar.set_postfix({name: f"{value:.3g}" for name, value in shown.items()})
        bar.update()
        if step % config.checkpoint_every == 0 or last:
          pending.collect()  # never keep a state that is not finite
          checkpoints.save(step, state, state.average, {"seconds": time.monotonic() - began})
    finally:
      bar.close()
      log.close()
  return state.average
