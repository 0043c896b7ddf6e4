"""Data sets of other numbers of classes than a corpus has: mixes that no training has seen, and held-out sources.

Of a source the first classes are taken, where it has so many. What is asked is as in
`data_sets`, without rivals and controls.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from g_pt import progress
from g_pt.errors import ConfigError
from g_pt.evaluation.base import Context, Result
from g_pt.evaluation.data_sets import OneSet, chosen_sets, measured
from g_pt.family_gpt import FamilyGPT
from g_pt.fields import Settings as Base
from g_pt.fields import limited

USES = ("sample",)


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  networks: int = limited(16, least=2)  # of each data set
  prompts: int = limited(10, least=2)  # a network
  counts: tuple[int, ...] = limited((2, 3, 5, 15, 20), least=2)  # of classes
  test_sets: int = limited(2, least=0)  # of each count, at most
  held_out: tuple[str, ...] = ()  # sources that are in no corpus


def run(context: Context, settings: Settings) -> Result:
  """By count and data set what is found by each metric."""
  model, rows, left_out = context.family, [], {}
  assert model is not None
  for count in progress.track(settings.counts, desc="class counts", unit="count"):
    of_count = model.for_classes(count)
    without_mixes = _why_no_mixes(of_count)
    if without_mixes is not None:
      left_out[f"unseen mixes, {count} classes"] = without_mixes
    test_sets = settings.test_sets if without_mixes is None else 0
    told = dataclasses.replace(context, family=of_count)
    found = chosen_sets(told, 0, test_sets, settings.held_out, settings.networks)
    left_out |= {f"{name}, {count} classes": why for name, why in found.left_out.items()}
    for one in found.sets:
      rows.append({"count": count, "name": one.name, "kind": one.kind, "metrics": _judged(context, one, settings)})
  return Result({"networks": settings.networks, "sets": rows, "left_out": left_out}, {})


def _why_no_mixes(model: FamilyGPT) -> str | None:
  """Where the sources have too few classes, what says so."""
  try:
    model.task.load(model.data_dir)
  except ConfigError as error:
    return str(error)
  return None


def _judged(context: Context, one: OneSet, settings: Settings) -> dict[str, Any]:
  """By metric alignment, and means over networks on final images."""
  metrics = {}
  for metric in one.model.statistics.prompt_ranges:
    gpt = one.gpt(metric)
    keys = context.key("class_counts", "ask", one.name), context.key("class_counts", "one_update", one.name)
    _, after, of_each = measured(one, metric, settings.prompts, keys)
    metrics[metric] = {
      "alignment": float(of_each.mean()),
      "start": float(gpt.evaluate(one.theta, "final")[metric].mean()),
      "one_update": float(gpt.evaluate(after, "final")[metric].mean()),
      "end": float(one.ends[metric].mean()),
    }
  return metrics
