"""The loop around the training step: checkpoints, probes, a log, and going on where it was killed."""

from __future__ import annotations

from collections.abc import Callable
import functools
from pathlib import Path
import time
from typing import Any

import jax
from jaxtyping import Array, PyTree

from g_pt import progress, sharding, workdir
from g_pt.checkpointing import Checkpoints
from g_pt.corpus.pairs import PairSource
from g_pt.keys import stream
from g_pt.train.log import Log, Pending
from g_pt.train.step import Step, TrainConfig, TrainState

# The averaged weights -> numbers for the log.
Probe = Callable[[PyTree], dict[str, float]]


def train(
  step: Step, source: PairSource, seed: int, directory: str | Path, probe: Probe | None = None, data: Any = None
) -> PyTree:
  """Trains, or goes on from the last checkpoint in `directory`; returns the averaged weights.

  `probe` measures the averaged weights every `probe_every` steps; `data` is the
  task's, where behaviour counts. Raises DivergenceError on a non-finite loss;
  the last good checkpoint stays.
  """
  config, directory = step.config, Path(directory)
  part = config.batch_size // config.microbatches
  sharding.check_batch("train.batch_size / train.microbatches", part, step.mesh)
  everywhere = sharding.replicated(step.mesh)
  init = jax.jit(step.init, out_shardings=everywhere)
  source, data = jax.device_put((source, data), everywhere)
  update = functools.partial(jax.jit(step.__call__, donate_argnums=2), source, stream(seed, "train", "step"))
  with Checkpoints(directory / workdir.CHECKPOINTS) as checkpoints:
    state, seconds = init(stream(seed, "train", "init")), 0.0
    if checkpoints.latest is not None:
      state, saved = checkpoints.restore(state)
      seconds = saved["seconds"]
    if int(state.step) >= config.steps:
      return state.average
    return _loop(config, lambda state: update(state, data), state, seconds, checkpoints, directory, probe)


def _loop(
  config: TrainConfig,
  update: Callable[[TrainState], tuple[TrainState, dict[str, Array]]],
  state: TrainState,
  seconds: float,
  checkpoints: Checkpoints,
  directory: Path,
  probe: Probe | None,
) -> PyTree:
  """From `state` on, which `seconds` of training made, to the last step."""
  first = int(state.step)
  log, pending, began = Log(directory, first), Pending(), time.monotonic() - seconds
  try:
    with progress.bar(total=config.steps, initial=first, desc="train", unit="step") as bar:
      for step in range(first + 1, config.steps + 1):
        state, values = update(state)
        pending.add(step, values)
        last, shown = step == config.steps, {}
        if step % config.log_every == 0 or last:
          shown = pending.collect()
        if probe and (last or config.probe_every and step % config.probe_every == 0):
          shown |= pending.collect() | probe(state.average)
        if shown:
          log.write(step, shown | {"seconds": round(time.monotonic() - began, 3)})
          bar.set_postfix({name: f"{value:.3g}" for name, value in shown.items()})
        bar.update(1)
        if step % config.checkpoint_every == 0 or last:
          pending.collect()  # never keep a state that is not finite
          checkpoints.save(step, state, state.average, {"seconds": time.monotonic() - began})
  finally:
    log.close()
  return state.average
