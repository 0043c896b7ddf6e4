"""What a trained model must know of its corpus: measured on the pairs that training draws."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array
import numpy as np

from g_pt.corpus.pairs import PROMPTED_QUANTILES, PairsConfig, PairSource, draw_pairs, draw_places
from g_pt.corpus.split import Census
from g_pt.keys import fold
from g_pt.parameters import ParameterSpec
from g_pt.parameters.units import UnitStatistics, measure_units

_PAIRS = 4096  # that units are measured on
_TARGETS = 65_536  # that the prompt range is measured on


class PromptRange(NamedTuple):
  """Quantiles of the target metric that bound prompts; values outside are too rare to learn."""

  low: float
  high: float


class Statistics(NamedTuple):
  """Three things, for three readers: the model's units, the bounds of prompts, the report."""

  units: UnitStatistics
  prompt_range: PromptRange | None  # None: prompts are taken as they are
  census: Census | None  # None: of weights that were made elsewhere


def measure_prompt_range(source: PairSource, config: PairsConfig, key: Array) -> PromptRange:
  """Of the targets that are drawn."""

  @jax.jit
  def drawn(source, key):
    run, _, target = draw_places(source, config, key, _TARGETS)
    return source.metric[run, target]

  low, high = np.quantile(np.asarray(drawn(source, key), np.float64), PROMPTED_QUANTILES)
  return PromptRange(float(low), float(high))


def measure_statistics(
  source: PairSource, spec: ParameterSpec, config: PairsConfig, census: Census, directions: int, key: Array
) -> Statistics:
  """The statistics of pairs drawn from `source` as training draws them."""
  # Which hidden unit is which plays no part in them.
  draw = jax.jit(lambda source, key: draw_pairs(source, spec, config.without_permutation(), key, _PAIRS))
  pairs = draw(source, fold(key, "units"))
  start, target = (np.asarray(jax.device_get(jnp.asarray(x))) for x in (pairs.start, pairs.target))
  units = measure_units(spec, start, target, directions)
  return Statistics(units, measure_prompt_range(source, config, fold(key, "prompt_range")), census)
