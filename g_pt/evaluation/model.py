"""What a G.pt costs: its size, and how long it was trained."""

from __future__ import annotations

import jax

from g_pt.evaluation.base import Context, NoSettings, Result

Settings = NoSettings
USES = ()


def run(context: Context, settings: Settings) -> Result:
  del settings
  parameters = sum(x.size for x in jax.tree.leaves(context.gpt.weights))
  return Result({"parameters": parameters, "seconds": round(context.training_seconds, 1)}, {})
