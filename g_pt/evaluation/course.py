"""Prompting over the course of training: what networks got for each prompt when G.pt was younger."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from g_pt.evaluation import alignment
from g_pt.evaluation.base import Context, Result
from g_pt.fields import Settings as Base
from g_pt.fields import limited

USES = ("sample",)


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  networks: int = limited(16, least=2)  # test runs whose initial networks are prompted
  prompts: int = limited(12, least=2)  # a network, as in `evaluate.alignment`


def run(context: Context, settings: Settings) -> Result:
  """The same networks, prompts and noise at each step of training whose weights stayed."""
  gpt = context.gpt
  starts = context.starts("test", settings.networks)
  achieved: dict[str, list[np.ndarray]] = {"recorded": [], "final": []}
  steps, scores, prompted = [], [], np.zeros((0, settings.prompts))
  for step, weights in context.history():
    prompted, theta = alignment.ask(gpt, starts, settings.prompts, context.key("course"), weights)
    for part, values in achieved.items():
      values.append(context.metric(theta, part).reshape(prompted.shape))
    steps.append(step)
    learned = gpt.statistics.prompt_range
    scores.append({part: alignment.summary(prompted, values[-1], learned)["mean"] for part, values in achieved.items()})
  summary: dict[str, Any] = {"networks": len(starts.theta), "prompts": settings.prompts, "steps": steps}
  summary |= {part: [score[part] for score in scores] for part in achieved}
  arrays = {f"achieved.{part}": np.array(values) for part, values in achieved.items()}
  return Result(summary, {"step": np.array(steps, np.int64), "prompted": prompted} | arrays)
