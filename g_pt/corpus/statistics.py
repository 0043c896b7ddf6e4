"""What a trained model must know of its corpus: measured on the pairs that training draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
from jaxtyping import Array, Float
import numpy as np

from g_pt.corpus.pairs import (
  PROMPTED_QUANTILES,
  PairsConfig,
  PairSource,
  Stored,
  Targets,
  draw_places,
  read_pairs,
)
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


class StartRange(NamedTuple):
  """The starts that a model has learned from: the range of their metric, and the longest of each parameter array."""

  low: float
  high: float
  size: Mapping[str, float]  # by parameter name: RMS of the array


class Statistics(NamedTuple):
  """Four things: the model's units, the bounds of prompts, those of starts, and what the report tells of the corpus."""

  units: UnitStatistics | None  # None: the model is of many data sets and has units of its own
  prompt_range: PromptRange | None  # None: prompts are taken as they are
  census: Census | None  # None: of weights that were made elsewhere
  start_range: StartRange | None = None  # None: starts are taken as they are


def measure_prompt_range(targets: Targets, config: PairsConfig, key: Array) -> PromptRange:
  """Of the targets that are drawn."""

  @jax.jit
  def drawn(targets, key):
    run, _, target = draw_places(targets, config, key, _TARGETS)
    return targets.metric[run, target]

  low, high = np.quantile(np.asarray(drawn(targets, key), np.float64), PROMPTED_QUANTILES)
  return PromptRange(float(low), float(high))


def measure_start_range(
  spec: ParameterSpec, start: Float[np.ndarray, "start parameter"], metric: Float[np.ndarray, "value"]
) -> StartRange:
  """Of some starts, and of some values of their metric."""
  size = {name: float(rms.max()) for name, rms in spec.rms(start).items()}
  return StartRange(float(metric.min()), float(metric.max()), size)


def measure_statistics(
  source: PairSource | Stored, spec: ParameterSpec, config: PairsConfig, census: Census, directions: int, key: Array
) -> Statistics:
  """The statistics of pairs of `source`, drawn as training draws them."""
  # Which hidden unit is which plays no part in them.
  draw = jax.jit(lambda targets, key: draw_places(targets, config, key, _PAIRS))
  pairs = read_pairs(source, draw(source.targets, fold(key, "units")))
  start, target, metric = map(np.asarray, (pairs.start, pairs.target, pairs.start_metric))
  units = measure_units(spec, start, target, directions)
  prompt_range = measure_prompt_range(source.targets, config, fold(key, "prompt_range"))
  return Statistics(units, prompt_range, census, measure_start_range(spec, start, metric))
