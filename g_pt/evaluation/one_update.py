"""One G.pt update of fresh, randomly initialised networks, beside the curves of hand-made optimizers."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from g_pt.evaluation.base import Context, NoSettings, Result
from g_pt.optimizers import baselines
from g_pt.tasks.base import SHARED_PARTS

Settings = NoSettings
USES = ("sample", "optimizers")


def run(context: Context, settings: Settings) -> Result:
  """One sample at the best prompt for each network, on every part of the task's data, and steps to match."""
  del settings
  gpt = context.gpt
  networks = baselines.fresh_networks(gpt.task, context.seed, context.optimizers.networks)
  before = context.numbers(networks)
  prompt = gpt.metric.best_prompt
  own = jnp.asarray(before["recorded"][gpt.metric_name])
  after = context.numbers(gpt.update(networks, own, jnp.full(len(networks), prompt), context.key("one_update")))
  arrays: dict[str, np.ndarray] = {}
  matched: dict[str, Any] = {}
  level = float(after["recorded"][gpt.metric_name].mean())
  curves = {
    name: (baseline, baselines.choose(gpt.task, baseline, gpt.metric_name, level))
    for name, baseline in context.baselines().items()
  }
  for part in SHARED_PARTS:
    achieved = after[part][gpt.metric_name]
    arrays |= {f"start.{part}": before[part][gpt.metric_name], f"achieved.{part}": achieved}
    matched[part] = {
      name: baselines.steps_to_match(gpt.task, baseline, choice, gpt.metric_name, part, achieved)
      for name, (baseline, choice) in curves.items()
    }
    for name, (baseline, choice) in curves.items():
      arrays[f"curve.{name}.step"] = baseline.fresh.step[choice]
      arrays[f"curve.{name}.{part}"] = baseline.fresh.numbers[part][gpt.metric_name][choice]
  numbers = {
    part: {name: _summary(before[part][name], values) for name, values in after[part].items()} for part in after
  }
  steps = gpt.recipe.steps(gpt.data)
  summary = {"prompt": prompt, "networks": len(networks), "numbers": numbers, "optimizers": matched}
  return Result(summary | {"optimizer_steps": steps}, arrays)


def _summary(start: np.ndarray, achieved: np.ndarray) -> dict[str, float]:
  values = {"start": start.mean(), "mean": achieved.mean(), "lowest": achieved.min(), "highest": achieved.max()}
  return {name: float(value) for name, value in values.items()}
