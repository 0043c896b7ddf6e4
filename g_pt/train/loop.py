"""The loop around the training step: checkpoints, probes, a log, and going on where it was killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import functools
from pathlib import Path
import time
from typing import Any, NamedTuple

from jaxtyping import Array, PyTree
import numpy as np

from g_pt import processes, progress, sharding, workdir
from g_pt.checkpointing import Checkpoints, History
from g_pt.corpus.families import FamilySource
from g_pt.corpus.pairs import PairSource, Stored
from g_pt.keys import stream
from g_pt.train.feed import feeding
from g_pt.train.log import Log, Pending
from g_pt.train.step import Step, TrainConfig, TrainState

# The averaged weights -> numbers for the log.
Probe = Callable[[PyTree], dict[str, float]]
Update = Callable[[TrainState], tuple[TrainState, dict[str, Array]]]

_EARLIEST = 1 / 64  # share of a training after which its history begins


class Lesson(NamedTuple):
  """Some of the networks that a model learns from, and its step on them."""

  step: Step
  source: PairSource | FamilySource | Stored


def turn(step: int, lessons: int) -> int:
  """Whose turn it is at a step: every second one is the first lesson's, the others share the rest."""
  return 0 if lessons == 1 or step % 2 else 1 + step // 2 % (lessons - 1)


def train(
  step: Step,
  source: PairSource | FamilySource | Stored,
  seed: int,
  directory: str | Path,
  probe: Probe | None = None,
  data: Any = None,
  further: Sequence[Lesson] = (),
) -> PyTree:
  """Trains, or goes on from the last checkpoint in `directory`; returns the averaged weights.

  `probe` measures the averaged weights every `probe_every` steps; `data` is the
  task's, where behaviour counts; `further` lessons take turns with the first, see
  `turn`. Raises DivergenceError on a non-finite loss; the last good checkpoint stays.
  Raises Preempted, with a checkpoint of the last step, where the process is asked to
  end.
  """
  config, directory = step.config, Path(directory)
  if isinstance(source, FamilySource):
    if not step.shares_sets:
      sharding.check_batch("train.pairs.of_a_set", config.pairs.of_a_set, step.mesh)
  else:
    part = config.batch_size // config.microbatches
    sharding.check_batch("train.batch_size / train.microbatches", part, step.mesh)
  init, compiled = step.compiled()
  programs = [compiled, *(one.step.compiled()[1] for one in further)]
  key, data = stream(seed, "train", "step"), sharding.place(data, step.mesh)
  with (
    Checkpoints(directory / workdir.CHECKPOINTS) as checkpoints,
    History(directory / workdir.HISTORY) as history,
    processes.loss_of_others_told(lambda: f"training goes on from step {checkpoints.latest or 0}"),
    processes.Preemption() as preemption,
  ):
    state, seconds = init(stream(seed, "train", "init")), 0.0
    if checkpoints.latest is not None:
      state, saved = checkpoints.restore(state)
      seconds = saved["seconds"]
    if int(state.step) >= config.steps:
      return state.average
    kept = Kept(checkpoints, history, directory)
    with contextlib.ExitStack() as stack:
      lessons, done = (Lesson(step, source), *further), int(state.step)
      fed = [stack.enter_context(feeding(*lesson, key, done)) for lesson in lessons]
      updates = [functools.partial(_update, *one, key, data) for one in zip(programs, fed)]
      return _loop(config, updates, state, seconds, kept, preemption, probe)


def _update(compiled: Callable[..., Any], fed: Iterator[Any], key: Array, data: Any, state: TrainState) -> Any:
  return compiled(next(fed), key, state, data)


class Kept(NamedTuple):
  """Where a training leaves what it has made."""

  checkpoints: Checkpoints
  history: History
  directory: Path  # of the log


def history_steps(config: TrainConfig) -> set[int]:
  """The steps whose averaged weights stay: evenly spaced in log(step), the last among them."""
  steps = np.geomspace(config.steps, max(1, config.steps * _EARLIEST), config.history)
  return {int(step) for step in np.round(steps)}


def _loop(
  config: TrainConfig,
  updates: Sequence[Update],  # of each lesson
  state: TrainState,
  seconds: float,
  kept: Kept,
  preemption: processes.Preemption,
  probe: Probe | None,
) -> PyTree:
  """From `state` on, which `seconds` of training made, to the last step."""
  first, along_the_way = int(state.step), history_steps(config)
  log, pending, began = Log(kept.directory, first), Pending(), time.monotonic() - seconds
  try:
    with progress.bar(total=config.steps, initial=first, desc="train", unit="step") as bar:
      for step in range(first + 1, config.steps + 1):
        state, values = updates[turn(step, len(updates))](state)
        pending.add(step, values)
        last, shown = step == config.steps, {}
        if step % config.log_every == 0 or last:
          shown = pending.collect()
        if probe and (last or config.probe_every and step % config.probe_every == 0):
          average = processes.on_host(state.average)
          shown |= pending.collect() | (probe(average) if processes.first() else {})
        if shown:
          log.write(step, shown | {"seconds": round(time.monotonic() - began, 3)})
          bar.set_postfix({name: f"{value:.3g}" for name, value in shown.items()})
        bar.update(1)
        if step in along_the_way:
          pending.collect()  # here and below: nothing stays that is not finite
          kept.history.save(step, state.average)
        asked = preemption.reached(step)
        if step % config.checkpoint_every == 0 or last or asked:
          pending.collect()
          kept.checkpoints.save(step, state, state.average, {"seconds": time.monotonic() - began})
        if asked and not last:
          raise processes.Preempted(f"training stopped after step {step}; the same command goes on from there")
  finally:
    log.close()
  return state.average
