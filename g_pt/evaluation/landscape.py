"""Multimodality: many samples for one start and prompt, the landscape between them, and how many basins they lie in."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np
from scipy.sparse.csgraph import connected_components

from g_pt.evaluation.base import Context, Result
from g_pt.fields import Settings as Base
from g_pt.fields import limited
from g_pt.parameters import matching
from g_pt.tasks.base import SHARED_PARTS

USES = ("sample",)
_MARGIN = 0.35  # of the samples' span, beyond them on each side of the plane
_BETWEEN = np.array([0.25, 0.5, 0.75], np.float32)  # points of a line at which a barrier is looked for
_BARRIER = 0.05  # share of what the update gains; two samples with a lower one between them lie in one basin
_ENSEMBLE = 16


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  samples: int = limited(128, least=_ENSEMBLE)  # of one start
  grid: int = limited(61, least=5)  # points along each side of the plane
  basins: int = limited(24, least=2)  # samples between all pairs of which barriers are measured


def run(context: Context, settings: Settings) -> Result:
  """One fresh network, updated again and again at the best prompt."""
  gpt = context.gpt
  start = context.fresh(1)
  prompt = gpt.metric.best_prompt
  samples = context.update(jnp.repeat(start, settings.samples, axis=0), prompt, context.key("landscape"))
  metric = context.metric(samples)
  before = float(context.metric(start)[0])
  plane = _plane(np.asarray(samples), np.asarray(start), settings.grid)
  barriers = _barriers(context, np.asarray(samples[: settings.basins]), metric[: settings.basins])
  gained = abs(float(metric.mean()) - before)
  basins = connected_components(barriers <= _BARRIER * gained)[0]
  arrays = {
    "metric": metric,
    "barrier": barriers,
    "landscape": context.metric(plane.pop("networks")),
    "start_metric": np.array([before]),
    **plane,
  }
  summary: dict[str, Any] = {
    "prompt": prompt,
    "samples": len(samples),
    "start": before,
    "mean": float(metric.mean()),
    "explained": float(plane["explained"].sum()),
    "compared": len(barriers),
    "basins": int(basins),
    "barrier": float(np.median(barriers[np.triu_indices(len(barriers), 1)])),
    "largest_barrier": _BARRIER * gained,
    "ensemble": _ensemble(context, samples[:_ENSEMBLE]),
  }
  return Result(summary, arrays)


def _plane(
  samples: Float[np.ndarray, "sample parameter"], start: Float[np.ndarray, "1 parameter"], points: int
) -> dict[str, np.ndarray]:
  """The plane of the first two principal directions of the samples, through their mean, and what lies where in it."""
  centre = samples.mean(axis=0)
  _, strength, basis = np.linalg.svd(samples - centre, full_matrices=False)
  directions = basis[:2]
  at, start_at = (samples - centre) @ directions.T, (start - centre) @ directions.T
  everything = np.concatenate([at, start_at])
  margin = _MARGIN * np.ptp(everything, axis=0)
  x, y = np.linspace(everything.min(axis=0) - margin, everything.max(axis=0) + margin, points).T.astype(np.float32)
  networks = centre + x[None, :, None] * directions[0] + y[:, None, None] * directions[1]
  explained = strength[:2] ** 2 / np.sum(strength**2)
  return {"x": x, "y": y, "sample_at": at, "start_at": start_at, "explained": explained, "networks": networks}


def _barriers(
  context: Context, samples: Float[np.ndarray, "sample parameter"], metric: Float[np.ndarray, "sample"]
) -> Float[np.ndarray, "sample sample"]:
  """How much worse than its ends the line between two samples gets, their hidden units matched; 0: no worse."""
  count = len(samples)
  first, second = np.triu_indices(count, 1)
  ends = [(samples[i], matching.aligned(context.gpt.task.spec, samples[j], samples[i])) for i, j in zip(first, second)]
  lines = np.stack([a + _BETWEEN[:, None] * (b - a) for a, b in ends])
  gain = context.gpt.metric.gain
  level = metric[first, None] + _BETWEEN[None] * (metric[second] - metric[first])[:, None]
  worse = np.maximum(np.max(gain(level) - gain(context.metric(lines)), axis=1), 0)
  barriers = np.zeros((count, count), np.float32)
  barriers[first, second] = barriers[second, first] = worse
  return barriers


def _ensemble(context: Context, samples: Float[Array, "sample parameter"]) -> dict[str, dict[str, float]]:
  """By part of the data the samples' mean metric, and that of the one network that their mean probabilities make."""

  def of(part):
    single = float(context.metric(samples, part).mean())
    return {"single": single, "ensemble": float(context.gpt.ensemble(samples, part)[context.gpt.metric_name])}

  return {part: of(part) for part in SHARED_PARTS}
