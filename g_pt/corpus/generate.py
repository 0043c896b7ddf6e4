"""Makes a corpus: thousands of training runs at once, group by group."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
import dataclasses
import functools
from importlib import metadata
import itertools
import operator
import time
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import joblib
import numpy as np

from g_pt import processes, progress, sharding
from g_pt.corpus.manifest import Manifest, exists, read_manifest
from g_pt.corpus.storage import Place, read_only
from g_pt.corpus.store import Corpus
from g_pt.errors import ConfigError, CorpusError
from g_pt.fields import Settings, limited
from g_pt.keys import stream
from g_pt.tasks import population
from g_pt.tasks.base import Recipe, Task
from g_pt.workdir import differences

SAVE_POINTS = ("log", "uniform")
_PATIENCE = 3600.0  # seconds without a new group after which the other processes are given up


@dataclasses.dataclass(frozen=True)
class CorpusConfig(Settings):
  """How many runs there are and what is kept of them."""

  runs: int = limited(2048, least=2)
  checkpoints: int = limited(64, least=2)  # of a run, its initial and its last parameters among them
  save_points: str = limited("log", choices=SAVE_POINTS)
  # Runs that share the order of their minibatches and one matrix product.
  group_size: int = limited(64, least=1)


def save_points(config: CorpusConfig, steps: int, seed: int, group: int) -> np.ndarray:
  """The steps [checkpoint] after which parameters are kept: rising, 0 first, the last step last.

  `log` spaces them evenly in log(step), early steps one by one, so that the
  metric's range is covered evenly; `uniform` draws them at random for each
  group, as in Peebles et al. 2022. Raises ConfigError where there are too few steps.
  """
  count = config.checkpoints
  if count > steps + 1:
    raise ConfigError(f"corpus.checkpoints: {count} cannot be kept of {steps} steps and the initial parameters")
  if config.save_points == "uniform":
    rng = np.random.default_rng(np.asarray(jax.random.key_data(stream(seed, "corpus", "save_points", group))))
    middle = rng.choice(np.arange(1, steps), count - 2, replace=False)
    return np.concatenate([[0], np.sort(middle), [steps]]).astype(np.int32)
  points = [0]
  for point in np.round(np.geomspace(steps, 1, count - 1)[::-1]).astype(int):
    points.append(max(points[-1] + 1, point))
  latest = steps - np.arange(count)[::-1]  # leaves room for those that follow
  return np.minimum(points, latest).astype(np.int32)


def initial_parameters(task: Task, keys: Array) -> Float[Array, "run parameter"]:
  """Flat initial networks, one a key; one after another, as batched decompositions may hang on a CPU."""
  return jax.lax.map(lambda key: task.spec.flatten(task.network.init(key)), keys)


def run_keys(seed: int, runs: range) -> Array:
  """A key a run, for its initial parameters."""
  fold = functools.partial(jax.random.fold_in, stream(seed, "corpus", "run"))
  return jax.vmap(fold)(jnp.arange(runs.start, runs.stop))


def manifest_of(task: Task, recipe: Recipe, config: CorpusConfig, seed: int) -> Manifest:
  """What the corpus of these settings will hold; its metrics are known once the task's data are, see `generate`."""
  return Manifest(
    task=task.name,
    settings={"seed": seed, "recipe": dataclasses.asdict(recipe), **dataclasses.asdict(config)},
    parameters=[[name, list(shape)] for name, shape in zip(task.spec.names, task.spec.shapes)],
    metrics=[],
    runs=config.runs,
    checkpoints=config.checkpoints,
    group_size=config.group_size,
    versions={name: metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")},
  )


def recorded_numbers(task: Task, recipe: Recipe, data: Any) -> list[str]:
  """Names of all that is recorded of a checkpoint."""
  theta = jax.ShapeDtypeStruct((1, task.spec.size), jnp.float32)

  def numbers(theta: Array, data: Any) -> dict[str, Array]:
    return population.evaluate(task, theta, task.measurement.part(data, recipe, "recorded"))

  return sorted(jax.eval_shape(numbers, theta, task.example(data)))


def open_matching(path: Place, wanted: Manifest, writable: bool = False, process: int = 0) -> Corpus:
  """The corpus at `path`; CorpusError, naming the fields that differ, where it was made under other settings.

  An imported corpus was made under settings that nobody knows here; it must be
  whole, and of networks like the task's. A cut counts as the corpus that it was cut from,
  and must be whole, too.
  """
  found = read_manifest(path)  # alone: of a published corpus all else is fetched once it is the right one
  if found.cut is not None and not found.complete:
    raise CorpusError(f"{path}: cut from a larger corpus, and groups of it are missing; fetch it again")
  if found.imported is not None:
    if not found.complete:
      raise CorpusError(f"{path}: the import of {found.imported['source']} is unfinished; import it again to finish it")
    ours = {"task": wanted.task, "parameters": wanted.parameters}
    lines = differences(ours, {"task": found.task, "parameters": found.parameters})
    if lines:
      raise CorpusError(f"{path} holds an imported corpus of other networks: {'; '.join(lines)}")
    return Corpus(path, found, writable, process)
  theirs = {name: value for name, value in found.settings.items() if name != "cut"}
  lines = differences({"task": wanted.task, "corpus": wanted.settings}, {"task": found.task, "corpus": theirs})
  if lines:
    raise CorpusError(f"{path} holds a corpus made under other settings: {'; '.join(lines)}")
  return Corpus(path, found, writable, process)


def group_key(seed: int, group: int) -> Array:
  """What the runs of a group share: the order of their minibatches, of a family their data set."""
  return stream(seed, "corpus", "group", group)


def generate(task: Task, recipe: Recipe, config: CorpusConfig, seed: int, data: Any, path: Place) -> Corpus:
  """The corpus at `path`: made, or finished where it was interrupted, or found whole.

  Processes of one job make it together, each every n-th group. Raises
  CorpusError, naming the fields that differ, where `path` holds a corpus of other
  settings, or where the other processes make nothing any more.
  """
  # What cannot be made is refused before anything is written.
  save_points(config, recipe.steps(task.example(data)), seed, 0)
  wanted, process = manifest_of(task, recipe, config, seed), jax.process_index()
  if read_only(path) and (published := open_matching(path, wanted)).manifest.complete:
    return published
  if process == 0:
    if not exists(path):
      Corpus.create(path, dataclasses.replace(wanted, metrics=recorded_numbers(task, recipe, data)))
    begun = open_matching(path, wanted, writable=True)
    if not (begun.manifest.imported or begun.manifest.cut):
      begun.settle()
  processes.wait("corpus begun")
  corpus = open_matching(path, wanted, writable=True, process=process)
  if not corpus.manifest.complete:
    with corpus.writing():
      _make_missing(corpus, task, recipe, config, seed, data)
  _wait_for_others(corpus)
  return corpus


def _wait_for_others(corpus: Corpus) -> None:
  """Until all groups are there, whoever makes them."""
  corpus.reread()
  count, latest = -1, time.monotonic()
  while not corpus.manifest.complete:
    if len(corpus.manifest.groups_done) > count:
      count, latest = len(corpus.manifest.groups_done), time.monotonic()
    if time.monotonic() - latest > _PATIENCE:
      missing = sorted({*range(corpus.manifest.num_groups)} - {*corpus.manifest.groups_done})
      late = sorted({group % jax.process_count() for group in missing})
      raise CorpusError(
        f"{corpus.path}: no group was written for {_PATIENCE:.0f} s; process {', '.join(map(str, late))} of this job "
        f"still owes {len(missing)}: start all of them again, and only those are made"
      )
    time.sleep(1)
    corpus.reread()


def _make_missing(corpus: Corpus, task: Task, recipe: Recipe, config: CorpusConfig, seed: int, data: Any) -> None:
  """Trains and writes the groups that are not there yet: one on each device at a time."""
  ours = range(jax.process_index(), corpus.manifest.num_groups, jax.process_count())
  missing = [group for group in ours if group not in set(corpus.manifest.groups_done)]
  devices = jax.local_devices()
  make = _maker(corpus, task, recipe, config, seed, data, devices)
  total, left = (sum(len(corpus.runs_of_group(group)) for group in groups) for groups in (ours, missing))
  together = waves(missing, lambda group: len(corpus.runs_of_group(group)), len(devices))
  with progress.bar(total=total, initial=total - left, desc="corpus", unit="run") as bar:
    began = time.monotonic()
    for groups, made in zip(together, side_by_side(make, together, groups_at_once(len(devices)))):
      began, seconds = time.monotonic(), time.monotonic() - began
      for group, result, step in zip(groups, *made):
        corpus.write_group(group, result.theta, result.metrics, step, seconds / len(groups))
        bar.update(len(step))


def waves(groups: Sequence[int], size: Callable[[int], int], devices: int) -> list[list[int]]:
  """Groups that are made at once, of one size: one a device at most."""
  alike = (list(same) for _, same in itertools.groupby(groups, size))
  return [same[first : first + devices] for same in alike for first in range(0, len(same), devices)]


def _maker(
  corpus: Corpus, task: Task, recipe: Recipe, config: CorpusConfig, seed: int, data: Any, devices: Sequence[Any]
) -> Callable[[Sequence[int]], tuple[list[population.RunGroup], list[np.ndarray]]]:
  """Groups -> all of their runs, and the steps [run, checkpoint] that are kept of them."""
  example = task.example(data)
  steps, decay = recipe.steps(example), jnp.asarray(recipe.decay(example))
  init = jax.jit(functools.partial(initial_parameters, task))

  def train(shared, *of_group) -> population.RunGroup:
    (data, decay), (initial, rates, key, saved) = shared, of_group
    return population.train_and_measure(task, recipe, data, initial, rates, decay, key, saved)

  program, shared = sharding.on_each(train, devices), sharding.on_all((data, decay), devices)

  def make(groups: Sequence[int]) -> tuple[list[population.RunGroup], list[np.ndarray]]:
    rows, kept = [], []
    # Where there are fewer groups than devices, the last one is made several times.
    for group in [*groups, *[groups[-1]] * (len(devices) - len(groups))]:
      runs, saved = corpus.runs_of_group(group), save_points(config, steps, seed, group)
      rates, key = jnp.full(len(runs), recipe.learning_rate), group_key(seed, group)
      rows.append((init(run_keys(seed, runs)), rates, key, jnp.asarray(saved)))
      kept.append(np.broadcast_to(saved, (len(runs), len(saved))))
    found = jax.device_get(program(shared, *jax.tree.map(lambda *row: jnp.stack(row), *rows)))
    of_group = [jax.tree.map(operator.itemgetter(place), found) for place in range(len(groups))]
    return of_group, kept[: len(groups)]

  return make


def groups_at_once(devices: int = 1) -> int:
  """Small steps leave a CPU's cores waiting for each other; a group a core keeps them busy."""
  return max(1, joblib.cpu_count() // devices) if jax.default_backend() == "cpu" else 1


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
