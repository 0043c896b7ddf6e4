"""G.pt and k steps: the best optimizer goes on from one update, against it alone and from what needs no model."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from g_pt import progress
from g_pt.evaluation import without_model
from g_pt.evaluation.base import Context, Result
from g_pt.fields import Settings as Base
from g_pt.fields import limited
from g_pt.optimizers import baselines, curves
from g_pt.optimizers.baselines import Baseline, Networks
from g_pt.tasks.base import SHARED_PARTS

USES = ("sample", "optimizers")
_MEMBERS = 16  # of a soup


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  networks: int = limited(32, least=2)  # fresh ones


def run(context: Context, settings: Settings) -> Result:
  """For each way to start, the optimizer tuned anew: steps to the final loss of a run, and the mean over log(step).

  The optimizer is the one that is soonest there from initial networks. Whatever
  it starts from, it is tuned on networks of its own.
  """
  gpt, task = context.gpt, context.gpt.task
  settled = dataclasses.replace(context.optimizers, networks=settings.networks)
  networks = baselines.initial_networks(task, context.seed, settled)
  level = _level(context)
  name = _soonest(context, level)
  runner = baselines.runner_of(task, gpt.recipe, jax.device_put(gpt.data), context.optimizers, name)
  arrays: dict[str, np.ndarray] = {}
  told: dict[str, Any] = {}
  starts = list(_starts(context, networks).items())
  for start, begun in progress.track(starts, desc="further steps", unit="start", leave=False):
    baseline = baselines.measured(task, runner, begun, context.seed)
    choice = baselines.choose(task, baseline, gpt.metric_name, level)
    arrays[f"{start}.step"] = baseline.fresh.step[choice]
    for part in SHARED_PARTS:
      arrays[f"{start}.{part}"] = baseline.fresh.numbers[part][gpt.metric_name][choice]
    told[start] = _told(context, baseline, choice, level)
  summary = {"optimizer": name, "level": level, "networks": settings.networks, "starts": told}
  return Result(summary | {"optimizer_steps": gpt.recipe.steps(gpt.data)}, arrays)


def _level(context: Context) -> float:
  """The mean recorded metric at the end of training runs."""
  corpus = context.corpus
  return float(corpus.read(corpus.metrics[context.gpt.metric_name], context.split.train)[:, -1].mean())


def _soonest(context: Context, level: float) -> str:
  """The optimizer whose tuned curve is the first to reach the level; where none does, the one that ends best."""
  task, name = context.gpt.task, context.gpt.metric_name
  metric = task.metric(name)
  steps, ends = {}, {}
  for optimizer, baseline in context.baselines().items():
    choice = baselines.choose(task, baseline, name, level)
    mean = baseline.fresh.mean("recorded", name)[choice]
    steps[optimizer] = float(curves.crossing(baseline.fresh.step[choice], mean, level, metric.higher_is_better))
    ends[optimizer] = float(metric.gain(mean).max())
  reached = {optimizer: step for optimizer, step in steps.items() if np.isfinite(step)}
  return min(reached, key=reached.__getitem__) if reached else max(ends, key=ends.__getitem__)


def _starts(context: Context, networks: Networks) -> dict[str, Networks]:
  """Initial networks as they are, after one update, and what stands in their place without a model."""
  prompt, rng = context.gpt.metric.best_prompt, np.random.default_rng(0)
  count, spec = sum(map(len, networks)), context.gpt.task.spec
  ends_of = np.cumsum([len(part) for part in networks])[:-1]

  def parted(theta):
    return Networks(*(jnp.asarray(part) for part in np.split(np.asarray(theta), ends_of)))

  updated = context.update(jnp.concatenate(networks), prompt, context.key("further_steps"))
  train = rng.permutation(context.split.train)[: 4 * _MEMBERS]
  ends = np.asarray(context.ends(np.sort(train)).theta)
  members = np.stack([rng.permutation(len(ends))[:_MEMBERS] for _ in range(count)])
  return {
    "initial": networks,
    "update": parted(updated),
    # The checkpoint that is nearest to the prompt, the next to it, and so on: a network of its own for each.
    "retrieval": parted(without_model.ranked_checkpoints(context, prompt, count)),
    "soup": parted(without_model.soups(spec, ends, members)),
  }


def _told(context: Context, baseline: Baseline, choice: int, level: float) -> dict[str, Any]:
  """Steps until the mean over networks is as good as `level` (None: never), and the mean over log(1 + step)."""
  metric, name = context.gpt.metric, context.gpt.metric_name
  step = baseline.fresh.step[choice]
  told: dict[str, Any] = {
    "learning_rate": float(baseline.fresh.learning_rate[choice]),
    "decay": None if np.isinf(baseline.fresh.decay[choice]) else float(baseline.fresh.decay[choice]),
  }
  for part in SHARED_PARTS:
    mean = baseline.fresh.mean(part, name)[choice]
    reached = float(curves.crossing(step, mean, level, metric.higher_is_better))
    # A run whose learning rate is 0 early stays where it is.
    steps = context.gpt.recipe.steps(context.gpt.data)
    x, held = np.log1p(np.append(step, steps)), np.append(mean, mean[-1])
    told[part] = {
      "start": float(mean[0]),
      "steps": None if np.isnan(reached) else reached,
      "area": float(np.trapezoid(held, x) / (x[-1] - x[0])),
      "best": float(mean[np.argmax(metric.gain(mean))]),
    }
  return told
