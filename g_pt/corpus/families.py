"""Pairs of a corpus of many data sets, one a group: a data set is drawn, then pairs of its runs.

Beside its runs a data set has what a model is told of it, and some of its inputs,
without labels, on which networks can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree
import numpy as np

from g_pt.corpus.pairs import AnyArray, Pairs, PairsConfig, Places, Targets, earlier, sort_targets
from g_pt.errors import ConfigError
from g_pt.tasks.base import Metric


class FamilySource(NamedTuple):
  """The training runs, set by set; for use inside jit."""

  theta: Float[AnyArray, "set run checkpoint parameter"]
  metric: Float[AnyArray, "set run checkpoint"]
  # Of the targets of a set, run * (K - 1) + checkpoint - 1: the share that is drawn up to each.
  share: Float[AnyArray, "set target"]
  told: PyTree  # arrays that lead with the set
  inputs: Float[AnyArray, "set example ..."]


class Drawn(NamedTuple):
  """Pairs of some data sets, and what belongs to these."""

  pairs: Pairs  # [set, pair, ...]
  told: PyTree  # [set, ...]
  inputs: Float[Array, "set example ..."]


def family_source(
  theta: Float[np.ndarray, "set run checkpoint parameter"],
  metric_values: Float[np.ndarray, "set run checkpoint"],
  told: Sequence[PyTree],
  inputs: Float[np.ndarray, "set example ..."],
  metric: Metric,
  config: PairsConfig,
) -> FamilySource:
  """Targets cover the metric's range in each data set evenly, as `sort_targets` has it; ConfigError for other pairs."""
  if config.weighting != "metric" or config.permute:
    raise ConfigError("train.pairs: of many data sets, pairs are drawn by weighting=metric without permute alone")
  shares = [np.cumsum(likely(sort_targets(values, metric, config))) for values in metric_values]
  stacked = jax.tree.map(lambda *each: np.stack([np.asarray(x) for x in each]), *told)
  return FamilySource(theta, metric_values, np.stack(shares).astype(np.float32), stacked, inputs)


def likely(targets: Targets) -> Float[np.ndarray, "target"]:
  """How likely each target is drawn: bins are equally so, and the targets of a bin."""
  by_metric, starts, counts = (np.asarray(x) for x in targets[1:])
  share = np.zeros(targets.metric.shape[0] * (targets.metric.shape[1] - 1))
  for start, count in zip(starts.tolist(), counts.tolist()):
    share[by_metric[start : start + count]] = 1 / (count * len(starts))
  return share


def draw_of_sets(source: FamilySource, config: PairsConfig, key: Array, sets: int, pairs: int) -> Drawn:
  """`pairs` independent pairs of each of `sets` data sets, which are drawn evenly."""
  set_key, place_key = jax.random.split(key)
  chosen = jax.random.randint(set_key, (sets,), 0, source.share.shape[0])

  def of_set(number: Int[Array, ""], key: Array) -> Pairs:
    run, start, target = _places(jnp.asarray(source.share)[number], source.metric.shape[2], config, key, pairs)
    theta, metric = jnp.asarray(source.theta), jnp.asarray(source.metric)
    places = (number, run, start), (number, run, target)
    return Pairs(*(x[place] for x in (theta, metric) for place in places))

  drawn = jax.vmap(of_set)(chosen, jax.random.split(place_key, sets))
  told, inputs = jax.tree.map(lambda x: jnp.asarray(x)[chosen], (source.told, source.inputs))
  return Drawn(drawn, told, inputs)


def _places(share: Float[Array, "target"], checkpoints: int, config: PairsConfig, key: Array, count: int) -> Places:
  target_key, start_key, initial_key = jax.random.split(key, 3)
  # The last share is 1 but for rounding.
  place = jnp.searchsorted(share[:-1], jax.random.uniform(target_key, (count,)), side="right")
  run, target = jnp.divmod(place, checkpoints - 1)
  target = target + 1
  return Places(run, earlier(target, config, start_key, initial_key), target)
