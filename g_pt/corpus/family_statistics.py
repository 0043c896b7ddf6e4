"""What a model of many data sets must know of its corpus: the scale of changes, and the range of each metric."""

from __future__ import annotations

from collections.abc import Mapping
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from g_pt.corpus.families import FamilySource, draw_of_sets
from g_pt.corpus.pairs import PROMPTED_QUANTILES, PairsConfig
from g_pt.corpus.split import Census
from g_pt.corpus.statistics import PromptRange, StartRange, Statistics, measure_start_range
from g_pt.parameters import ParameterSpec
from g_pt.parameters.units import DIFFUSED_STD
from g_pt.tasks import graph
from g_pt.tasks.graph import Graph
from g_pt.tasks.known import Known
from g_pt.tasks.layers import layers_of

_SETS, _PAIRS = 64, 32  # data sets that are measured, and pairs of each


class Ranges(NamedTuple):
  """Of a corpus, by the names of its metrics, what bounds prompts and starts."""

  prompts: Mapping[str, PromptRange]
  starts: Mapping[str, StartRange]

  def joined(self, other: Ranges) -> Ranges:
    """What is in either."""
    prompts = {
      name: PromptRange(min(one.low, other.prompts[name].low), max(one.high, other.prompts[name].high))
      for name, one in self.prompts.items()
    }
    starts = {name: _joined(one, other.starts[name]) for name, one in self.starts.items()}
    return Ranges(prompts, starts)


def _joined(one: StartRange, other: StartRange) -> StartRange:
  size = {name: max(rms, other.size[name]) for name, rms in one.size.items()}
  return StartRange(min(one.low, other.low), max(one.high, other.high), size)


class FamilyStatistics(NamedTuple):
  """Bounds are by the names of the metrics, in the order in which a model takes these."""

  scale: Graph  # of changes, by kind
  prompt_ranges: Mapping[str, PromptRange]
  start_ranges: Mapping[str, StartRange]
  census: Census

  def widened(self, ranges: Ranges) -> FamilyStatistics:
    """The same with what is in its bounds or in those."""
    found = Ranges(self.prompt_ranges, self.start_ranges).joined(ranges)
    return self._replace(prompt_ranges=found.prompts, start_ranges=found.starts)

  def by(self, metric: str) -> Statistics:
    """What holds of one metric."""
    return Statistics(None, self.prompt_ranges[metric], self.census, self.start_ranges[metric])


def measure_family_statistics(
  source: FamilySource, spec: ParameterSpec, names: tuple[str, ...], config: PairsConfig, census: Census, key: Array
) -> FamilyStatistics:
  """Of some data sets of `source`; `names` are those of its metrics.

  The scale is that of changes from the first checkpoint to those of the last two
  thirds of a run, which are the largest that there are.
  """
  set_key, pair_key = jax.random.split(key)
  ranges = measure_ranges(source, spec, names, config, pair_key)
  return FamilyStatistics(scale_of(_largest_changes(source, spec, set_key)), ranges.prompts, ranges.starts, census)


def measure_ranges(
  source: FamilySource, spec: ParameterSpec, names: tuple[str, ...], config: PairsConfig, key: Array
) -> Ranges:
  """What bounds starts is of pairs, drawn as training draws them."""
  starts_of = jax.jit(lambda source, key: draw_of_sets(source, config, key, _SETS, _PAIRS).pairs.start)
  start = np.asarray(starts_of(source, key)).reshape(-1, spec.size)
  values, share = np.asarray(source.values), np.diff(np.asarray(source.share), prepend=0)
  prompts, starts = {}, {}
  for number, name in enumerate(names):
    earlier, targets = values[:, number, :, :-1], values[:, number, :, 1:]
    prompts[name] = PromptRange(*_quantiles(targets.ravel(), share[:, number].ravel()))
    starts[name] = measure_start_range(spec, start, earlier[np.isfinite(earlier)])
  return Ranges(prompts, starts)


def _largest_changes(source: FamilySource, spec: ParameterSpec, key: Array) -> Graph:
  sets, runs, checkpoints, _ = source.theta.shape
  chosen = np.asarray(jax.random.permutation(key, sets))[:_SETS]
  later = np.unique(np.linspace(checkpoints / 3, checkpoints - 1, 3).astype(int))
  of_set = jax.jit(functools.partial(changes, spec))

  def of_one(number: int) -> Graph:
    theta, told = np.asarray(source.theta)[number], jax.tree.map(lambda x: x[number, 0], source.told)
    first = np.repeat(theta[:, :1], len(later), axis=1)
    return of_set(theta[:, later].reshape(-1, spec.size), first.reshape(-1, spec.size), told)

  return jax.tree.map(lambda *each: jnp.concatenate(each), *map(of_one, chosen.tolist()))


def _quantiles(values: Float[np.ndarray, "target"], share: Float[np.ndarray, "target"]) -> tuple[float, float]:
  order = np.argsort(values)
  below = np.cumsum(share[order]) / share.sum()
  low, high = (float(values[order][np.searchsorted(below, quantile)]) for quantile in PROMPTED_QUANTILES)
  return low, high


def changes(
  spec: ParameterSpec, target: Float[Array, "net parameter"], theta: Float[Array, "net parameter"], told: Known
) -> Graph:
  """From start networks to targets, as far as graphs can say it; a leading axis of nets."""
  between = jax.vmap(functools.partial(graph.change_between, told.discriminants))
  return between(layers_of(spec, theta), layers_of(spec, target))


def scale_of(found: Graph) -> Graph:
  """What brings each kind of number of many changes to DIFFUSED_STD, shared by units and by classes."""

  def size(x: Any, kept: int) -> Float[np.ndarray, "..."]:
    axes = tuple(range(x.ndim - kept))
    return np.sqrt(np.mean(np.square(x), axis=axes, keepdims=True)[0]) / DIFFUSED_STD

  sizes = size(found.edge, 1), size(found.unit, 1), size(found.output, 0)
  return Graph(*(jnp.maximum(jnp.asarray(x, jnp.float32), 1e-8) for x in sizes))
