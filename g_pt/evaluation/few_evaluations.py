"""How few evaluations of the model a sample needs: what each number of them, and the temperature, trade."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from g_pt.evaluation import alignment, novelty
from g_pt.evaluation.base import Context, Recorded, Result
from g_pt.evaluation.recitation import mean_distance
from g_pt.fields import Settings as Base
from g_pt.fields import limited
from g_pt.generator import SampleConfig
from g_pt.parameters import matching
from g_pt.tasks.base import SHARED_PARTS

USES = ("sample",)
_WORSE = 0.25  # than the median training end, by which a sample still performs
_OF_ONE_START = 16  # samples whose distances from each other tell of variety


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  networks: int = limited(32, least=2)  # test runs prompted, and fresh networks updated
  prompts: int = limited(10, least=2)  # a network, as in `evaluate.alignment`
  evaluations: tuple[int, ...] = limited((1, 2, 4, 8, 16, 50), least=1)  # of the model, for one sample
  # Beside the one that the model is sampled by.
  temperatures: tuple[float, ...] = limited((1.0,), least=0)
  references: int = limited(1024, least=32)  # training ends that novelty is judged by, at most


class Judge(NamedTuple):
  """What every row is measured on and by."""

  starts: Recorded  # test runs that are prompted
  fresh: Recorded  # networks that are updated
  references: novelty.References
  level: float  # that a network performs by


def run(context: Context, settings: Settings) -> Result:
  """A row for each temperature and number of evaluations: alignment, one update, variety, novel and performant."""
  own, spec = context.gpt.config, context.gpt.task.spec
  most = len(context.gpt.generator.schedule.timestep)
  references = novelty.references_of(context, settings.references, settings.networks)
  ends, fresh = references.theta[references.probes], context.fresh(settings.networks)
  judge = Judge(
    context.starts("test", settings.networks),
    Recorded(fresh, jnp.asarray(context.metric(fresh))),
    references,
    novelty.performs(context, context.metric(ends), _WORSE),
  )
  rows = [
    {"temperature": temperature, "evaluations": count}
    | _row(context, settings, dataclasses.replace(own, temperature=temperature, steps=count), judge)
    for temperature in dict.fromkeys((own.temperature, *settings.temperatures))
    for count in sorted({*settings.evaluations, own.steps})
    if count <= most
  ]
  summary: dict[str, Any] = {
    "chosen": {"temperature": own.temperature, "evaluations": own.steps},
    "networks": settings.networks,
    "prompt": context.gpt.metric.best_prompt,
    "ends_apart": mean_distance(spec, ends),
    "rows": rows,
  }
  return Result(summary, {})


def _row(context: Context, settings: Settings, config: SampleConfig, judge: Judge) -> dict[str, Any]:
  gpt, spec = context.gpt.with_config(config), context.gpt.task.spec
  prompted, theta = alignment.ask(gpt, judge.starts, settings.prompts, context.key("few_evaluations", "alignment"))
  learned, prompt = gpt.statistics.prompt_range, gpt.metric.best_prompt
  fresh, own = judge.fresh
  updated = context.update(fresh, prompt, context.key("few_evaluations", "one_update"), own, config=config)
  first, its_own = (jnp.repeat(x[:1], _OF_ONE_START, axis=0) for x in judge.fresh)
  of_one = context.update(first, prompt, context.key("few_evaluations", "variety"), its_own, config=config)
  metric, references = context.metric(updated), judge.references
  distance = matching.nearest(spec, np.asarray(updated), references.theta).distance
  share = novelty.novel_and_performant(context, metric, distance, judge.level, references.median_distance)
  return {
    "alignment": {
      part: alignment.summary(prompted, context.metric(theta, part).reshape(prompted.shape), learned)["mean"]
      for part in SHARED_PARTS
    },
    "one_update": {"recorded": float(metric.mean()), "final": float(context.metric(updated, "final").mean())},
    "apart": mean_distance(spec, np.asarray(of_one)),
    "novel_performant": share,
  }
