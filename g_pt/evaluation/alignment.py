"""Prompt alignment: does a network get the metric that was asked for?"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree
import numpy as np

from g_pt.bootstrap import mean_interval
from g_pt.corpus.statistics import PromptRange
from g_pt.evaluation import without_model
from g_pt.evaluation.base import Context, Recorded, Result
from g_pt.fields import Settings as Base
from g_pt.fields import limited
from g_pt.gpt import GPT
from g_pt.tasks.base import SHARED_PARTS

# A network that prompts over less than this share of what was learned tells of noise alone.
_NARROW = 0.05

USES = ("sample",)


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  networks: int = limited(64, least=2)  # test runs (and as many training runs) whose initial networks are prompted
  prompts: int = limited(20, least=2)  # a network, from the best prompt to its own metric


class Prompted(NamedTuple):
  """What was asked for, and the flat networks that were sampled for it."""

  prompted: Float[np.ndarray, "net prompt"]
  theta: Float[Array, "net*prompt parameter"]


def alignment_by_network(
  prompted: Float[np.ndarray, "net prompt"], achieved: Float[np.ndarray, "net prompt"]
) -> Float[np.ndarray, "net"]:
  """R^2 of achieved against prompted metrics of each network; Peebles et al. 2022, section 4.

  1 is perfect; leaving a network as it was scores about -2.71 on evenly spaced
  prompts. NaN where all prompts are the same, so that there is no R^2.
  """
  prompted, achieved = (np.asarray(x, np.float64) for x in (prompted, achieved))
  residual = np.sum((prompted - achieved) ** 2, axis=1)
  total = np.sum((prompted - prompted.mean(axis=1, keepdims=True)) ** 2, axis=1)
  return np.where(total > 0, 1.0 - residual / np.where(total > 0, total, 1.0), np.nan)


def too_narrow(
  prompted: Float[np.ndarray, "net prompt"], learned: PromptRange | None
) -> Bool[np.ndarray, "net"]:
  """Networks so near their best from the start that their prompts cover under a twentieth of what was learned."""
  width = np.ptp(prompted, axis=1)
  return width <= (_NARROW * (learned.high - learned.low) if learned else 0.0)


def summary(
  prompted: Float[np.ndarray, "net prompt"], achieved: Float[np.ndarray, "net prompt"], learned: PromptRange | None
) -> dict[str, Any]:
  """Prompt alignment as the paper has it, the mean over all networks that have a range, and what qualifies it.

  Beside it: a 90 % interval by bootstrap over networks, the median, how many
  networks are `too_narrow`, and the mean without these.
  """
  by_network = alignment_by_network(prompted, achieved)
  narrow = too_narrow(prompted, learned)
  defined = by_network[np.isfinite(by_network)]
  return {
    "mean": float(defined.mean()),
    "interval": mean_interval(defined),
    "median": float(np.median(defined)),
    "too_narrow": int(narrow.sum()),
    "mean_of_others": float(by_network[~narrow].mean()) if (~narrow).any() else None,
  }


def ask(gpt: GPT, starts: Recorded, prompts: int, key: Array, weights: PyTree = None) -> Prompted:
  """One sample for each of `prompts` metrics between the best and the network's own (or the task's share of it)."""
  best = gpt.metric.best_prompt
  fraction = jnp.linspace(0.0, 1.0, prompts)
  prompted = best + fraction[None] * (gpt.metric.own_share * starts.metric[:, None] - best)
  rows = jnp.repeat(starts.theta, prompts, axis=0), jnp.repeat(starts.metric, prompts)
  return Prompted(np.asarray(prompted), gpt.update(*rows, prompted.ravel(), key, weights=weights))


def run(context: Context, settings: Settings) -> Result:
  """Training and test runs by the metric as it was recorded; test runs on data held out from all else, too.

  Beside them, for test runs, what needs no model: the nearest checkpoint of the
  corpus, and the nearest point between the start and the best of the corpus.
  """
  gpt, arrays = context.gpt, {}
  summaries: dict[str, Any] = {"prompts": settings.prompts}

  def score(name: str, prompted: np.ndarray, achieved: dict[str, np.ndarray]) -> None:
    arrays.update({f"{name}.achieved.{part}": values for part, values in achieved.items()})
    learned = gpt.statistics.prompt_range
    summaries[name] = {part: summary(prompted, values, learned) for part, values in achieved.items()}

  for runs, parts in (("train", ("recorded",)), ("test", SHARED_PARTS)):
    starts = context.starts(runs, settings.networks)
    prompted, theta = ask(gpt, starts, settings.prompts, context.key("alignment", runs))
    arrays[f"{runs}.prompted"] = prompted
    measured = {part: gpt.evaluate(theta, part)[gpt.metric_name] for part in parts}
    score(runs, prompted, {part: np.asarray(values).reshape(prompted.shape) for part, values in measured.items()})
  summaries["networks"] = len(prompted)
  score("retrieval", prompted, without_model.retrieved(context, prompted))
  score("interpolation", prompted, without_model.interpolated(context, starts, prompted))
  return Result(summaries, arrays)


def probe(gpt: GPT, starts: Recorded, prompts: int, key: Array, weights: PyTree) -> float:
  """Prompt alignment of other weights, while training goes on: the mean over networks that are not too narrow."""
  prompted, theta = ask(gpt, starts, prompts, key, weights)
  achieved = np.asarray(gpt.evaluate(theta)[gpt.metric_name]).reshape(prompted.shape)
  by_network = alignment_by_network(prompted, achieved)[~too_narrow(prompted, gpt.statistics.prompt_range)]
  return float(by_network.mean()) if by_network.size else float("nan")
