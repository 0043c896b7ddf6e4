"""What a G.pt costs: its size, and how long it was trained."""

from __future__ import annotations

import dataclasses

import jax

from g_pt.evaluation.base import Context, Result
from g_pt.fields import Settings as Base

USES = ()


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  pass


def run(context: Context, settings: Settings) -> Result:
  del settings
  parameters = sum(x.size for x in jax.tree.leaves(context.gpt.weights))
  return Result({"parameters": parameters, "seconds": round(context.training_seconds, 1)}, {})
