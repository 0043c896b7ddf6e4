"""What a G.pt does with networks of no corpus: a few numbers that whoever has it can measure again."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from g_pt.evaluation import alignment
from g_pt.evaluation.base import Recorded
from g_pt.evaluation.recitation import mean_distance
from g_pt.family_gpt import FamilyGPT
from g_pt.gpt import GPT
from g_pt.keys import stream

NETWORKS, PROMPTS = 16, 10  # a prompt of each network is one sample
TOLD = "digits"  # the data set that a model of many is told of: scikit-learn's, which is always there
CLASSES = 10  # that it has


class Fresh(NamedTuple):
  """Means over the networks, on recorded data; distances are of samples at the best prompt, hidden units matched."""

  alignment: float
  start: float  # metric of the networks as they were
  one_update: float  # metric after one update at the best prompt
  different_starts: float  # distance between samples of different networks
  one_start: float  # and of one network; as far apart if networks are not learned by heart


def measure(model: GPT | FamilyGPT) -> Fresh:
  """A G.pt on NETWORKS untrained networks, one of many data sets told of TOLD; always the same networks and noise."""
  gpt = model if isinstance(model, GPT) else _told(model)
  keys = jax.random.split(stream(0, "fresh", "init"), NETWORKS)
  theta = jnp.stack([gpt.task.spec.flatten(gpt.init(key)) for key in keys])
  starts = Recorded(theta, gpt.evaluate(theta)[gpt.metric_name])
  prompted, updated = alignment.ask(gpt, starts, PROMPTS, stream(0, "fresh", "sample"))
  achieved = np.asarray(gpt.evaluate(updated)[gpt.metric_name]).reshape(prompted.shape)
  best = np.asarray(updated).reshape(NETWORKS, PROMPTS, -1)[:, 0]
  one = jax.tree.map(lambda x: jnp.repeat(jnp.asarray(x)[:1], NETWORKS, axis=0), starts)
  prompt = jnp.full(NETWORKS, gpt.metric.best_prompt)
  of_one = gpt.update(one.theta, one.metric, prompt, stream(0, "fresh", "one_start"))
  return Fresh(
    alignment.summary(prompted, achieved, gpt.statistics.prompt_range)["mean"],
    float(np.mean(starts.metric)),
    float(achieved[:, 0].mean()),
    mean_distance(gpt.task.spec, best),
    mean_distance(gpt.task.spec, np.asarray(of_one)),
  )


def _told(model: FamilyGPT) -> GPT:
  """Its G.pt of TOLD, with the same images whenever it is asked."""
  model = model.for_classes(min(model.classes, CLASSES))
  return model.on_set(jax.device_get(model.whole(TOLD, stream(0, "fresh", "data set"))))
