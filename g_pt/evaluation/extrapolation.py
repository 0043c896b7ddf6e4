"""Extrapolation: prompts beyond the best that was learned, without the clip to that range. Do networks follow?"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from g_pt.errors import UserError
from g_pt.evaluation.base import Context, Result
from g_pt.fields import Settings as Base
from g_pt.fields import limited
from g_pt.tasks.base import SHARED_PARTS

USES = ("sample",)


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  networks: int = limited(32, least=2)  # fresh ones
  prompts: int = limited(13, least=5)  # half of them, and one, up to the best that was learned; the others beyond


def run(context: Context, settings: Settings) -> Result:
  """Prompts from the middle of what was learned to its best, and on to the best that one asks for."""
  gpt, metric = context.gpt, context.gpt.metric
  learned = gpt.statistics.prompt_range
  if learned is None:
    raise UserError("extrapolation: nobody knows which prompts imported weights learned; give --metric-range")
  edge, worst = (learned.high, learned.low) if metric.higher_is_better else (learned.low, learned.high)
  beyond = settings.prompts // 2 if metric.gain(metric.best_prompt) > metric.gain(edge) else 0
  prompts = np.concatenate([
    np.linspace(0.5 * (edge + worst), edge, settings.prompts - beyond),
    np.linspace(edge, metric.best_prompt, beyond + 1)[1:],
  ])
  unclipped = dataclasses.replace(gpt, generator=dataclasses.replace(gpt.generator, prompt_range=None))
  free = dataclasses.replace(context, gpt=unclipped)
  fresh = context.fresh(settings.networks)
  rows = jnp.repeat(fresh, len(prompts), axis=0)
  own = np.repeat(context.metric(fresh), len(prompts))
  theta = free.update(rows, np.tile(prompts, len(fresh)), context.key("extrapolation"), own)
  achieved = {part: context.metric(theta, part).reshape(len(fresh), -1) for part in SHARED_PARTS}
  corpus = context.corpus
  ends = corpus.read(corpus.metrics[gpt.metric_name], context.split.train)[:, -1]
  summary: dict[str, Any] = {"networks": len(fresh), "edge": edge, "best_prompt": metric.best_prompt}
  summary |= {"run_ends": float(ends.mean())}
  summary |= {part: _told(prompts, values.mean(axis=0), edge, metric.gain) for part, values in achieved.items()}
  arrays = {"prompt": prompts, **{f"achieved.{part}": values for part, values in achieved.items()}}
  return Result(summary, arrays)


def _told(prompts: np.ndarray, achieved: np.ndarray, edge: float, gain) -> dict[str, Any]:
  """What is got at the edge and at best, for which prompt, and the slope of achieved against prompted on each side."""
  beyond = gain(prompts) >= gain(edge)
  best = int(np.argmax(gain(achieved)))

  def slope(chosen):
    return float(np.polyfit(prompts[chosen], achieved[chosen], 1)[0]) if np.ptp(prompts[chosen]) > 0 else None

  return {
    "at_edge": float(achieved[np.flatnonzero(beyond)[0]]),
    "best": float(achieved[best]),
    "best_prompt": float(prompts[best]),
    "slope_within": slope(gain(prompts) <= gain(edge)),
    "slope_beyond": slope(beyond),
  }
