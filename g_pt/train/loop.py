"""The loop around the training step: checkpoints, probes, a log, and going on where it was killed."""

from __future__ import annotations

from collections.abc import Callable
import functools
from pathlib import Path
import time
from typing import Any

import jax
from jaxtyping import Array, PyTree
import numpy as np

from g_pt import progress, sharding, workdir
from g_pt.checkpointing import Checkpoints, History
from g_pt.corpus.pairs import PairSource
from g_pt.keys import stream
from g_pt.train.log import Log, Pending
from g_pt.train.step import Step, TrainConfig, TrainState

# The averaged weights -> numbers for the log.
Probe = Callable[[PyTree], dict[str, float]]

_EARLIEST = 1 / 64  # share of a training after which its history begins


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
  init, compiled = step.compiled()
  source, data = jax.device_put((source, data), everywhere)
  update = functools.partial(compiled, source, stream(seed, "train", "step"))
  with Checkpoints(directory / workdir.CHECKPOINTS) as checkpoints, History(directory / workdir.HISTORY) as history:
    state, seconds = init(stream(seed, "train", "init")), 0.0
    if checkpoints.latest is not None:
      state, saved = checkpoints.restore(state)
      seconds = saved["seconds"]
    if int(state.step) >= config.steps:
      return state.average
    return _loop(config, lambda state: update(state, data), state, seconds, checkpoints, history, directory, probe)


def history_steps(config: TrainConfig) -> set[int]:
  """The steps whose averaged weights stay: evenly spaced in log(step), the last among them."""
  steps = np.geomspace(config.steps, max(1, config.steps * _EARLIEST), config.history)
  return {int(step) for step in np.round(steps)}


def _loop(
  config: TrainConfig,
  update: Callable[[TrainState], tuple[TrainState, dict[str, Array]]],
  state: TrainState,
  seconds: float,
  checkpoints: Checkpoints,
  history: History,
  directory: Path,
  probe: Probe | None,
) -> PyTree:
  """From `state` on, which `seconds` of training made, to the last step."""
  first, kept = int(state.step), history_steps(config)
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
        if step in kept:
          pending.collect()  # here and below: nothing stays that is not finite
          history.save(step, state.average)
        if step % config.checkpoint_every == 0 or last:
          pending.collect()
          checkpoints.save(step, state, state.average, {"seconds": time.monotonic() - began})
  finally:
    log.close()
  return state.average
