"""Pairs of a corpus of many data sets, one a group: a data set and a metric are drawn, then pairs of its runs by it.

Beside its runs a data set has what a model is told of it, by all images or by few.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
import numpy as np

from g_pt.corpus.pairs import AnyArray, Pairs, PairsConfig, Places, Targets, earlier, sort_targets
from g_pt.errors import ConfigError
from g_pt.keys import fold
from g_pt.tasks.base import Metric
from g_pt.tasks.known import Known

_BY_FEW = 0.25  # share of what is told by few images


class FamilySource(NamedTuple):
  """The training runs, set by set; for use inside jit."""

  theta: Float[AnyArray, "set run checkpoint parameter"]
  values: Float[AnyArray, "set metric run checkpoint"]
  # Of the targets of a set by a metric, run * (K - 1) + checkpoint - 1: the share that is drawn up to each.
  share: Float[AnyArray, "set metric target"]
  told: Known  # arrays that lead with the set, and in it with what is told by all images and by few


class Drawn(NamedTuple):
  """Pairs of some data sets, and what belongs to these."""

  pairs: Pairs  # [set, pair, ...]
  told: Known  # [set, ...]
  inputs: Float[Array, "set class example pixel"]  # some of the data set's own
  by: Float[Array, "set metric"]  # 1 for the metric that the pairs are drawn and prompted by, 0 for the others


def family_source(
  theta: Float[np.ndarray, "set run checkpoint parameter"],
  values: Float[np.ndarray, "set metric run checkpoint"],
  told: Sequence[Sequence[Known]],
  metrics: Sequence[Metric],
  config: PairsConfig,
  sound: Bool[np.ndarray, "set run"] | None = None,
) -> FamilySource:
  """`told` has for each data set what is told by all images, and perhaps by fewer.

  Targets cover each metric's range in each data set evenly, as `sort_targets` has it;
  runs that are not sound are in no pair; None: all are. ConfigError for other pairs.
  """
  if config.weighting != "metric" or config.permute:
    raise ConfigError("train.pairs: of many data sets, pairs are drawn by weighting=metric without permute alone")
  targets = (values.shape[2], values.shape[3] - 1)

  def share(set_values: np.ndarray, metric: Metric, good: np.ndarray) -> np.ndarray:
    whole = np.zeros(targets)
    whole[good] = likely(sort_targets(set_values[good], metric, config)).reshape(-1, targets[1])
    return np.cumsum(whole)

  good = np.ones(values.shape[::2], bool) if sound is None else sound
  shares = [[share(x, metric, ok) for x, metric in zip(of_set, metrics)] for of_set, ok in zip(values, good)]
  every = [jax.tree.map(lambda *each: np.stack([np.asarray(x) for x in each]), *of_set) for of_set in told]
  stacked = jax.tree.map(lambda *each: np.stack(each), *every)
  return FamilySource(theta, values, np.array(shares, np.float32), stacked)


def likely(targets: Targets) -> Float[np.ndarray, "target"]:
  """How likely each target is drawn: bins are equally so, and the targets of a bin."""
  by_metric, starts, counts = (np.asarray(x) for x in targets[1:])
  share = np.zeros(targets.metric.shape[0] * (targets.metric.shape[1] - 1))
  for start, count in zip(starts.tolist(), counts.tolist()):
    share[by_metric[start : start + count]] = 1 / (count * len(starts))
  return share


def draw_of_sets(source: FamilySource, config: PairsConfig, key: Array, sets: int, pairs: int) -> Drawn:
  """`pairs` independent pairs of each of `sets` data sets, which are drawn evenly, and so are metrics."""
  set_key, place_key = jax.random.split(key)
  count, metrics, _ = source.share.shape
  chosen = jax.random.randint(set_key, (sets,), 0, count)
  by = jax.random.randint(fold(set_key, "metric"), (sets,), 0, metrics)

  def of_set(number: Int[Array, ""], by: Int[Array, ""], key: Array) -> Pairs:
    run, start, target = _places(jnp.asarray(source.share)[number, by], source.values.shape[3], config, key, pairs)
    theta, values = jnp.asarray(source.theta), jnp.asarray(source.values)
    places = (run, start), (run, target)
    return Pairs(*(theta[number, *place] for place in places), *(values[number, by, *place] for place in places))

  drawn = jax.vmap(of_set)(chosen, by, jax.random.split(place_key, sets))
  by_few = jax.random.bernoulli(fold(set_key, "told"), _BY_FEW, (sets,))
  way = jnp.minimum(by_few.astype(jnp.int32), source.told.share.shape[1] - 1)
  told = jax.tree.map(lambda x: jnp.asarray(x)[chosen, way], source.told)
  return Drawn(drawn, told, jnp.asarray(source.told.examples)[chosen, 0], jax.nn.one_hot(by, metrics))


def _places(share: Float[Array, "target"], checkpoints: int, config: PairsConfig, key: Array, count: int) -> Places:
  target_key, start_key, initial_key = jax.random.split(key, 3)
  # The last share is 1 but for rounding.
  place = jnp.searchsorted(share[:-1], jax.random.uniform(target_key, (count,)), side="right")
  run, target = jnp.divmod(place, checkpoints - 1)
  target = target + 1
  return Places(run, earlier(target, config, start_key, initial_key), target)
