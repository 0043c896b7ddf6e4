"""Makes a corpus: thousands of training runs at once, group by group."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
import dataclasses
import functools
from importlib import metadata
import os
from pathlib import Path
import time
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np
from tqdm import tqdm

from g_pt.corpus.store import MANIFEST, Corpus, Manifest
from g_pt.errors import ConfigError, CorpusError
from g_pt.tasks.base import RunGroup, Task
from g_pt.workdir import differences

SAVE_POINTS = ("log", "uniform")


@dataclasses.dataclass(frozen=True)
class CorpusConfig:
  """How many runs there are and what is kept of them."""

  runs: int
  checkpoints: int = 64  # of a run, its initial and its last parameters among them
  save_points: str = "log"  # one of SAVE_POINTS
  group_size: int = 64  # runs that share the order of their minibatches and one matrix product

  def __post_init__(self):
    if self.save_points not in SAVE_POINTS:
      raise ValueError(f"corpus.save_points: unknown {self.save_points!r}; it is one of: {', '.join(SAVE_POINTS)}")
    for name, least in (("runs", 2), ("checkpoints", 2), ("group_size", 1)):
      if getattr(self, name) < least:
        raise ValueError(f"corpus.{name}: {getattr(self, name)} is less than {least}")


def save_points(config: CorpusConfig, steps: int, seed: int) -> np.ndarray:
  """The steps [checkpoint] after which parameters are kept: rising, 0 first, the last step last.

  `log` spaces them evenly in log(step), early steps one by one, so that the
  metric's range is covered evenly; `uniform` draws them at random, as in
  Peebles et al. 2022. Raises ConfigError where there are too few steps.
  """
  count = config.checkpoints
  if count > steps + 1:
    raise ConfigError(f"corpus.checkpoints: {count} cannot be kept of {steps} steps and the initial parameters")
  if config.save_points == "uniform":
    middle = np.random.default_rng(seed).choice(np.arange(1, steps), count - 2, replace=False)
    return np.concatenate([[0], np.sort(middle), [steps]]).astype(np.int32)
  points = [0]
  for point in np.round(np.geomspace(steps, 1, count - 1)[::-1]).astype(int):
    points.append(max(points[-1] + 1, point))
  latest = steps - np.arange(count)[::-1]  # leaves room for those that follow
  return np.minimum(points, latest).astype(np.int32)


def initial_parameters(task: Task, keys: Array) -> Float[Array, "run parameter"]:
  """Flat initial networks, one a key; one after another, as batched decompositions may hang on a CPU."""
  return jax.lax.map(lambda key: task.spec.flatten(task.init(key)), keys)


def group_keys(seed: int, group: int, runs: range) -> tuple[Array, Array]:
  """The group's own key, and one a run; no two streams meet."""
  group_stream, run_stream = jax.random.split(jax.random.key(seed))
  keys = jax.vmap(functools.partial(jax.random.fold_in, run_stream))(jnp.arange(runs.start, runs.stop))
  return jax.random.fold_in(group_stream, group), keys


def manifest_of(task: Task, recipe: Any, config: CorpusConfig, seed: int, data: Any) -> Manifest:
  """What the corpus of these settings will hold."""
  numbers = jax.eval_shape(task.evaluate, jax.eval_shape(task.init, jax.random.key(0)), data)
  return Manifest(
    task=task.name,
    settings={"seed": seed, "recipe": dataclasses.asdict(recipe), **dataclasses.asdict(config)},
    parameters=[[name, list(shape)] for name, shape in zip(task.spec.names, task.spec.shapes)],
    metrics=sorted(numbers),
    runs=config.runs,
    checkpoints=config.checkpoints,
    group_size=config.group_size,
    versions={name: metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")},
  )


def open_matching(path: str | Path, wanted: Manifest, writable: bool = False) -> Corpus:
  """The corpus at `path`; CorpusError, naming the fields that differ, where it was made under other settings.

  An imported corpus was made under settings that nobody knows here; it must be
  whole, and of networks like the task's.
  """
  corpus = Corpus.open(path, writable)
  found = corpus.manifest
  if found.imported is not None:
    if not found.complete:
      raise CorpusError(f"{path}: the import of {found.imported['source']} is unfinished; import it again to finish it")
    ours = {"task": wanted.task, "parameters": wanted.parameters}
    lines = differences(ours, {"task": found.task, "parameters": found.parameters})
    if lines:
      raise CorpusError(f"{path} holds an imported corpus of other networks: {'; '.join(lines)}")
    return corpus
  lines = differences({"task": wanted.task, "corpus": wanted.settings}, {"task": found.task, "corpus": found.settings})
  if lines:
    raise CorpusError(f"{path} holds a corpus made under other settings: {'; '.join(lines)}")
  return corpus


def generate(task: Task, recipe: Any, config: CorpusConfig, seed: int, data: Any, path: str | Path) -> Corpus:
  """The corpus at `path`: made, or finished where it was interrupted, or found whole.

  Raises CorpusError, naming the fields that differ, where `path` holds a
  corpus of other settings.
  """
  wanted = manifest_of(task, recipe, config, seed, data)
  steps = recipe.steps(data)
  save_points(config, steps, seed)  # what cannot be made is refused before anything is written
  if (Path(path) / MANIFEST).exists():
    corpus = open_matching(path, wanted, writable=True)
    if corpus.manifest.imported is not None:
      return corpus
  else:
    corpus = Corpus.create(path, wanted)
  missing = [g for g in range(wanted.num_groups) if g not in set(corpus.manifest.groups_done)]
  if not missing:
    return corpus
  data = jax.device_put(data)
  init = jax.jit(functools.partial(initial_parameters, task))
  train = jax.jit(functools.partial(task.train_group, task, recipe))

  def make(group: int) -> tuple[RunGroup, np.ndarray]:
    runs = corpus.runs_of_group(group)
    group_key, run_keys = group_keys(seed, group, runs)
    saved = save_points(config, steps, seed=seed + group)
    rates = jnp.full(len(runs), recipe.learning_rate)
    result = jax.device_get(train(data, init(run_keys), rates, group_key, jnp.asarray(saved)))
    return result, np.broadcast_to(saved, (len(runs), len(saved)))

  done = config.runs - sum(len(corpus.runs_of_group(group)) for group in missing)
  with tqdm(total=config.runs, initial=done, desc="corpus", unit="run") as progress:
    began = time.monotonic()
    for group, (result, step) in zip(missing, side_by_side(make, missing, groups_at_once())):
      began, seconds = time.monotonic(), time.monotonic() - began
      corpus.write_group(group, result.theta, result.metrics, step, seconds)
      progress.update(len(step))
  return corpus


def groups_at_once() -> int:
  """Small steps leave a CPU's cores waiting for each other; a group a core keeps them busy."""
  return (os.cpu_count() or 1) if jax.default_backend() == "cpu" else 1


def side_by_side(function: Callable[[Any], Any], arguments: Iterable[Any], at_once: int) -> Iterator[Any]:
  """`map(function, arguments)` in threads, never more than `at_once` results ahead of the one who asks."""
  pending: collections.deque[Future] = collections.deque()
  with ThreadPoolExecutor(at_once) as pool:
    for argument in arguments:
      if len(pending) == at_once:
        yield pending.popleft().result()
      pending.append(pool.submit(function, argument))
    while pending:
      yield pending.popleft().result()
