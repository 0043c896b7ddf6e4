"""(start, target) checkpoint pairs of one run: which there are, how they are drawn, and read.

Of a corpus on the device pairs are drawn inside the jitted step; of one on disk
the same places are drawn on the host, and only their checkpoints are read.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
import numpy as np

from g_pt.errors import ConfigError
from g_pt.fields import Settings, limited
from g_pt.parameters import ParameterSpec
from g_pt.parameters.symmetry import permutation_index, random_permutations
from g_pt.tasks.base import Metric

# Of a device, or of the host.
AnyArray = Array | np.ndarray
WEIGHTINGS = ("metric", "uniform")
# Of the targets' metric. What lies beyond is too rare to be learned.
PROMPTED_QUANTILES = (0.005, 0.995)


@dataclasses.dataclass(frozen=True)
class PairsConfig(Settings):
  """Which pairs are drawn how often."""

  # `metric`: targets cover the metric's range evenly, any earlier checkpoint is the start.
  # `uniform`: spacing uniform in [1, K-1], then the start uniform (Peebles et al. 2022).
  weighting: str = limited("metric", choices=WEIGHTINGS)
  bins: int = limited(64, least=1)  # of the metric's coordinate, each drawn equally often
  # Share of `metric` pairs that start at the run's initial parameters, beyond chance.
  initial_fraction: float = limited(0.0, least=0, most=1)
  # Whether targets are only the checkpoints that are better than all before them in their run. With noisy metrics a
  # prompt then means progress, not a lucky checkpoint.
  records: bool = False
  permute: bool = False  # one random permutation of hidden units for both; of use to models without the symmetry
  of_a_set: int = limited(16, least=2)  # pairs of each data set that a batch has pairs of, where there are many

  def check(self) -> None:
    if self.records and self.weighting != "metric":
      raise ValueError(f"records: for weighting=metric alone, not {self.weighting}")


class Runs(NamedTuple):
  """Whole runs, on the host."""

  theta: Float[np.ndarray, "run checkpoint parameter"]
  metric: Float[np.ndarray, "run checkpoint"]


class Targets(NamedTuple):
  """All possible targets of the training runs, sorted by metric."""

  metric: Float[AnyArray, "run checkpoint"]
  by_metric: Int[AnyArray, "target"]  # run * (K - 1) + checkpoint - 1, sorted by the metric
  bin_start: Int[AnyArray, "bin"]  # in by_metric
  bin_count: Int[AnyArray, "bin"]


class PairSource(NamedTuple):
  """The training runs in memory, for pairs that are drawn inside a jitted function."""

  theta: Float[AnyArray, "run checkpoint parameter"]
  targets: Targets

  def points(self, run: Int[np.ndarray, "point"], checkpoint: Int[np.ndarray, "point"]) -> np.ndarray:
    return np.asarray(self.theta)[run, checkpoint]


class Stored(NamedTuple):
  """The training runs on disk, for pairs that are read while training goes on."""

  # (run, checkpoint) of each point, counted as in `targets` -> its parameters [point, parameter].
  points: Callable[[Int[np.ndarray, "point"], Int[np.ndarray, "point"]], Float[np.ndarray, "point parameter"]]
  targets: Targets


class Places(NamedTuple):
  """Where pairs are: the run of each, and the checkpoints of its start and its target."""

  run: Int[AnyArray, "batch"]
  start: Int[AnyArray, "batch"]
  target: Int[AnyArray, "batch"]


class Pairs(NamedTuple):
  start: Float[Array, "batch parameter"]
  target: Float[Array, "batch parameter"]
  start_metric: Float[Array, "batch"]
  target_metric: Float[Array, "batch"]


def is_record(values: Float[np.ndarray, "run checkpoint"], metric: Metric) -> Bool[np.ndarray, "run checkpoint-1"]:
  """Which checkpoints, the first left out, are better than all before them in their run."""
  gain = np.asarray(metric.gain(values))
  return gain[:, 1:] > np.maximum.accumulate(gain, axis=1)[:, :-1]


def pair_source(runs: Runs, metric: Metric, config: PairsConfig, only_up_to: float | None = None) -> PairSource:
  """Runs in memory and their targets, as `sort_targets` has them."""
  return PairSource(jnp.asarray(runs.theta), sort_targets(runs.metric, metric, config, only_up_to))


def sort_targets(
  values: Float[np.ndarray, "run checkpoint"], metric: Metric, config: PairsConfig, only_up_to: float | None = None
) -> Targets:
  """Sorts every possible target into bins of equal width in the metric's coordinate.

  The first and the last bin take in all that lies beyond the 0.5 % and the
  99.5 % quantile, and bins between them that hold fewer than a thousandth of
  their share are left out: a few outliers, drawn as often as all the others,
  would be learned by heart. With `only_up_to`, a run counts up to its first
  checkpoint that is better. Raises ConfigError where there is no target.
  """
  coordinate = np.asarray(metric.coordinate(jnp.asarray(values[:, 1:]))).ravel()
  order = np.argsort(coordinate, kind="stable").astype(np.int32)
  if config.records:
    order = order[is_record(np.asarray(values), metric).ravel()[order]]
    if not order.size:
      raise ConfigError("train.pairs.records: no checkpoint of the corpus is better than all before it in its run")
  if only_up_to is not None:
    if config.weighting != "metric":
      raise ConfigError(f"corpus.only_up_to: for train.pairs.weighting=metric alone, not {config.weighting}")
    gain = np.asarray(metric.gain(values))
    before = np.maximum.accumulate(gain, axis=1)[:, 1:] <= metric.gain(only_up_to)
    order = order[before.ravel()[order]]
    if not order.size:
      raise ConfigError(f"corpus.only_up_to: no checkpoint of the corpus is as bad as {only_up_to}")
  low, high = np.quantile(coordinate[order], PROMPTED_QUANTILES)
  edges = np.linspace(low, high, config.bins + 1)
  edges[0], edges[-1] = -np.inf, np.inf
  starts = np.searchsorted(coordinate[order], edges)
  counts = np.diff(starts)
  kept = counts > 1e-3 * len(order) / config.bins
  return Targets(
    jnp.asarray(values),
    jnp.asarray(order),
    jnp.asarray(starts[:-1][kept].astype(np.int32)),
    jnp.asarray(counts[kept].astype(np.int32)),
  )


def _uniform_below(key: Array, bound: Int[Array, "batch"]) -> Int[Array, "batch"]:
  """An integer in [0, bound), each with its own bound."""
  return jnp.minimum(jnp.floor(jax.random.uniform(key, bound.shape) * bound).astype(jnp.int32), bound - 1)


def earlier(target: Int[Array, "batch"], config: PairsConfig, start_key: Array, initial_key: Array) -> Array:
  """Any checkpoint before each target, or the initial one for a share of them."""
  start = _uniform_below(start_key, target)
  return jnp.where(jax.random.bernoulli(initial_key, config.initial_fraction, target.shape), 0, start)


def _even_in_metric(targets: Targets, config: PairsConfig, key: Array, batch: int) -> Places:
  bin_key, target_key, start_key, initial_key = jax.random.split(key, 4)
  chosen = jax.random.randint(bin_key, (batch,), 0, targets.bin_start.shape[0])
  place = targets.bin_start[chosen] + _uniform_below(target_key, targets.bin_count[chosen])
  run, target = jnp.divmod(targets.by_metric[place], targets.metric.shape[1] - 1)
  target = target + 1
  return Places(run, earlier(target, config, start_key, initial_key), target)


def _even_in_spacing(targets: Targets, key: Array, batch: int) -> Places:
  runs, checkpoints = targets.metric.shape
  run_key, spacing_key, start_key = jax.random.split(key, 3)
  spacing = jax.random.randint(spacing_key, (batch,), 1, checkpoints)
  start = _uniform_below(start_key, checkpoints - spacing)
  return Places(jax.random.randint(run_key, (batch,), 0, runs), start, start + spacing)


def draw_places(targets: Targets, config: PairsConfig, key: Array, batch: int) -> Places:
  """Places of independent pairs; the target is always later than the start."""
  draw_key, _ = jax.random.split(key)
  if config.weighting == "metric":
    return _even_in_metric(targets, config, draw_key, batch)
  return _even_in_spacing(targets, draw_key, batch)


def draw_pairs(source: PairSource, config: PairsConfig, key: Array, batch: int) -> Pairs:
  """The pairs at the places that `draw_places` draws; for use inside jit."""
  run, start, target = draw_places(source.targets, config, key, batch)
  theta, metric = source.theta, source.targets.metric
  return Pairs(theta[run, start], theta[run, target], metric[run, start], metric[run, target])


def read_pairs(source: PairSource | Stored, places: Places) -> Pairs:
  """The pairs at some places, on the host; those on disk by one read."""
  run, start, target = map(np.asarray, places)
  metric: Any = np.asarray(source.targets.metric)  # Any: NumPy's arrays stand for JAX's
  theta: Any = source.points(np.concatenate([run, run]), np.concatenate([start, target]))
  return Pairs(theta[: len(run)], theta[len(run) :], metric[run, start], metric[run, target])


def permuted(pairs: Pairs, spec: ParameterSpec, key: Array) -> Pairs:
  """Each pair [..., parameter] with its hidden units in another order, the same for start and target.

  `key` is the one that the pairs were drawn with.
  """

  def permute(key, start, target):
    index = permutation_index(spec, random_permutations(spec, key))
    return start[index], target[index]

  _, permutation_key = jax.random.split(key)
  batch = pairs.start_metric.shape
  for _ in batch:
    permute = jax.vmap(permute)
  keys = jax.random.split(permutation_key, pairs.start_metric.size).reshape(batch)
  start, target = permute(keys, pairs.start, pairs.target)
  return pairs._replace(start=start, target=target)
