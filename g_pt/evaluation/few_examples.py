"""Data sets of which little is there: one update, and descent after it, from a few images of a class, beside rivals.

All that is compared learns from the same images. What has settings has the best of
them by the recorded images of the data set, which is more than one would have, and so
has one update its prompt; final images are looked at once.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from g_pt import progress
from g_pt.evaluation import rivals
from g_pt.evaluation.base import Context, Result
from g_pt.evaluation.data_sets import OneSet, chosen_sets
from g_pt.fields import Settings as Base
from g_pt.fields import limited
from g_pt.optimizers import baselines
from g_pt.tasks.datasets import Examples, Images
from g_pt.tasks.known import few_of

USES = ("sample", "optimizers")
_PROMPTS = 8  # of one update, from the task's best to what a fresh network has, by their logarithms


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  networks: int = limited(16, least=2)
  counts: tuple[int, ...] = (1, 5, 20, 100)  # images of a class; beside them all there are
  test_sets: int = limited(2, least=0)  # at most
  held_out: tuple[str, ...] = ()  # sources that are in no corpus


def run(context: Context, settings: Settings) -> Result:
  """By data set and count what each way gets, mean loss and error on final images."""
  sets, left_out = chosen_sets(context, 0, settings.test_sets, settings.held_out, settings.networks)
  told = []
  with progress.bar(len(sets) * (len(settings.counts) + 1), desc="few examples", unit="set") as shown:
    for one in sets:
      all_of_it = len(one.data.train.labels) // one.model.classes
      counts = []
      for count in (*settings.counts, all_of_it):
        counts.append({"count": count, "ways": _ways(context, one, count)})
        shown.update()
      told.append({"name": one.name, "kind": one.kind, "counts": counts})
  return Result({"networks": settings.networks, "sets": told, "left_out": left_out}, {})


def _ways(context: Context, one: OneSet, count: int) -> dict[str, Any]:
  """By name of a way every metric; settings are chosen by the model's own metric."""
  model, seed = one.model, context.seed
  few = few_of(np.asarray(one.data.train.labels), count, np.random.default_rng(seed))
  train = Examples(one.data.train.images[few], one.data.train.labels[few])
  known_by_few = model.on_set(Images(train, train, one.data.final))
  judged = model.on_set(one.data, told=known_by_few.told[0])

  def updated(theta: Float[Array, "net parameter"], name: str) -> Float[Array, "net parameter"]:
    own = known_by_few.evaluate(theta)[model.metric_name]
    prompts = np.geomspace(judged.task.metric(model.metric_name).best_prompt, float(own.mean()), _PROMPTS)
    key = context.key("few_examples", name)
    every = [known_by_few.update(theta, own, jnp.full(len(theta), prompt), key) for prompt in prompts]
    return every[int(np.argmin([judged.evaluate(after)[model.metric_name].mean() for after in every]))]

  how = dataclasses.replace(context.optimizers, networks=len(one.theta))
  networks = baselines.initial_networks(model.task, seed, how)
  data = Images(train, one.data.recorded, one.data.final)
  recipe = known_by_few.recipe
  recipe = dataclasses.replace(recipe, **_as_long(recipe, len(few), len(one.data.train.labels)))
  descend = functools.partial(rivals.descent, model.task, recipe, data, settings=how, seed=seed)
  after = baselines.Networks(*(updated(theta, name) for name, theta in networks._asdict().items()))
  numbers = judged.evaluate(after.fresh, "final")
  return {
    "one update": {name: float(numbers[name].mean()) for name in model.task.measurement.metrics},
    "one update, then descent": descend(networks=after).best[model.metric_name],
    "descent": descend(networks=networks).best[model.metric_name],
    **rivals.closed_forms(data),
  }


def _as_long(recipe: Any, examples: int, whole: int) -> dict[str, int]:
  """Settings of a recipe that makes about as many steps on a part of the examples."""
  batch = min(recipe.batch_size, examples)
  steps = recipe.epochs * (whole // recipe.batch_size)
  return {"batch_size": batch, "epochs": max(1, round(steps / (examples // batch)))}
