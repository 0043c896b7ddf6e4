"""Novelty: are samples new networks, or training networks again? The audit of Zeng et al. 2025 (arXiv 2506.07998).

Beside samples stand what they must beat: training networks themselves, ends of
runs that were held out, training networks with noise, points between two and
means of many, checkpoints looked up by their metric.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int
import numpy as np

from g_pt.chunks import in_chunks, measured_at_once
from g_pt.evaluation import without_model
from g_pt.evaluation.base import Context, Recorded, Result
from g_pt.evaluation.recitation import mean_distance, recitation
from g_pt.fields import Settings as Base
from g_pt.fields import limited
from g_pt.parameters import matching
from g_pt.parameters.units import DIFFUSED_STD
from g_pt.tasks.base import SHARED_PARTS

USES = ("sample",)
NOISE = (0.05, 0.1)  # standard deviations, in units of weights normalised to DIFFUSED_STD
WORSE = (0.0, 0.1, 0.25)  # than the median metric of training ends, by which a sample still performs
FARTHER = (1, 2, 3)  # times the median distance among training ends, beyond which a sample is novel
_MEMBERS = 16  # of a soup, and of an ensemble
_COMPARED = 32  # networks whose distances from each other are averaged


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  networks: int = limited(64, least=_MEMBERS)  # of each kind
  references: int = limited(4096, least=_COMPARED)  # training ends that all are compared with, at most


class References(NamedTuple):
  """Training ends, and how far from each other they are."""

  theta: Float[np.ndarray, "reference parameter"]
  probes: Int[np.ndarray, "probe"]  # some of them, each compared with all others
  median_distance: float  # of a probe from the nearest other


class Judged(NamedTuple):
  """What the audit knows of each network of one kind."""

  recorded: Float[np.ndarray, "net"]
  final: Float[np.ndarray, "net"]
  distance: Float[np.ndarray, "net"]  # from the nearest training end
  disagreement: Float[np.ndarray, "net"]  # share of inputs on which that one chooses otherwise
  # Largest share of misclassified images in common with any training end, of those that either gets wrong; NaN where
  # nothing is right or wrong.
  similarity: Float[np.ndarray, "net"]


def references_of(context: Context, most: int, probes: int) -> References:
  """Ends of training runs, evenly taken where there are more than `most`."""
  train = context.split.train
  theta = np.asarray(context.ends(train[np.unique(np.linspace(0, len(train) - 1, most).astype(int))]).theta)
  chosen = np.unique(np.linspace(0, len(theta) - 1, probes).astype(int))
  away = matching.nearest(context.gpt.task.spec, theta[chosen], theta, chosen).distance
  return References(theta, chosen, float(np.median(away)))


def run(context: Context, settings: Settings) -> Result:
  """Samples of initial networks of test runs at the best prompt, against all that they are compared with."""
  references = references_of(context, settings.references, settings.networks)
  starts = context.starts("test", settings.networks)
  kinds = _kinds(context, references, starts, settings.networks)
  of_references = _decisions(context, references.theta)
  judged = {
    name: _judge(context, theta, references, of_references, references.probes if name == "training" else None)
    for name, theta in kinds.items()
  }
  arrays = {f"{name}.{field}": value for name, one in judged.items() for field, value in one._asdict().items()}
  summary: dict[str, Any] = {
    "prompt": context.gpt.metric.best_prompt,
    "networks": settings.networks,
    "references": len(references.theta),
    "median_distance": references.median_distance,
    "ratio": float(np.median(judged["samples"].distance)) / references.median_distance,
    "sets": {name: _told(one) for name, one in judged.items()},
    "novel_performant": _novel_performant(context, judged, references.median_distance),
    "recitation": _recitation(context, starts, kinds),
    "ensembles": {
      name: {part: _ensemble(context, kinds[name][:_MEMBERS], part) for part in SHARED_PARTS}
      for name in ("samples", "training")
    },
  }
  return Result(summary, arrays)


def _kinds(
  context: Context, references: References, starts: Recorded, count: int
) -> dict[str, Float[np.ndarray, "net parameter"]]:
  """Networks of each kind that is compared, training ends first."""
  spec, rng = context.gpt.task.spec, np.random.default_rng(0)
  prompt, split = context.gpt.metric.best_prompt, context.split
  samples = context.update(starts.theta, prompt, context.key("novelty", "samples"), starts.metric)
  training = references.theta[references.probes]
  sigma = references.theta.std() / DIFFUSED_STD
  noise = rng.normal(size=training.shape).astype(np.float32)
  members = np.stack([rng.permutation(len(references.theta))[:_MEMBERS] for _ in range(count)])
  pairs = references.theta[members[:, :2]]
  between = [0.5 * (first + matching.aligned(spec, second, first)) for first, second in pairs]
  unseen = np.concatenate([split.test, split.validation])[:count]
  return {
    "training": training,
    "unseen": np.asarray(context.ends(unseen).theta),
    "samples": np.asarray(samples),
    **{f"noise {level:g}": training + level * sigma * noise for level in NOISE},
    "interpolation": np.stack(between),
    "soup": without_model.soups(spec, references.theta, members),
    "retrieval": without_model.ranked_checkpoints(context, prompt, count),
  }


class Choices(NamedTuple):
  """What networks choose, and where that is wrong; None: nothing is right or wrong."""

  chosen: Int[np.ndarray, "net example"]
  wrong: Bool[np.ndarray, "net example"] | None


def _decisions(context: Context, theta: Float[np.ndarray, "net parameter"]) -> Choices:
  gpt, networks = context.gpt, jnp.asarray(theta)
  chosen = np.asarray(in_chunks(lambda rows: gpt.decisions(rows).chosen.T, measured_at_once(), networks))
  right = gpt.decisions(networks[:1]).right
  return Choices(chosen, None if right is None else chosen != np.asarray(right)[None])


def _judge(
  context: Context,
  theta: Float[np.ndarray, "net parameter"],
  references: References,
  of_references: Choices,
  itself: Int[np.ndarray, "net"] | None,
) -> Judged:
  own = _decisions(context, theta)
  nearest = matching.nearest(context.gpt.task.spec, theta, references.theta, itself)
  similarity = np.full(len(theta), np.nan)
  if own.wrong is not None and of_references.wrong is not None:
    a, b = own.wrong.astype(np.float32), of_references.wrong.astype(np.float32)
    common = a @ b.T
    shares = common / np.maximum(a.sum(axis=1)[:, None] + b.sum(axis=1)[None] - common, 1)
    if itself is not None:
      shares[np.arange(len(theta)), itself] = -np.inf
    similarity = shares.max(axis=1)
  return Judged(
    recorded=context.metric(theta),
    final=context.metric(theta, "final"),
    distance=nearest.distance,
    disagreement=np.mean(own.chosen != of_references.chosen[nearest.index], axis=1),
    similarity=similarity,
  )


def _told(judged: Judged) -> dict[str, float | None]:
  """Means of the metric and of similarity, medians of distance and disagreement."""
  similarity = float(judged.similarity.mean())
  return {
    "recorded": float(judged.recorded.mean()),
    "final": float(judged.final.mean()),
    "distance": float(np.median(judged.distance)),
    "disagreement": float(np.median(judged.disagreement)),
    "similarity": similarity if np.isfinite(similarity) else None,
  }


def performs(context: Context, ends: Float[np.ndarray, "end"], worse: float) -> float:
  """The level that a network performs by: the median of training ends, made worse by a share of itself."""
  median, better = float(np.median(ends)), context.gpt.metric.higher_is_better
  return median * (1 - worse if better else 1 + worse)


def novel_and_performant(
  context: Context, metric: Float[np.ndarray, "net"], distance: Float[np.ndarray, "net"], level: float, beyond: float
) -> float:
  """N&P: the share of networks as good as `level` and farther than `beyond` from all training ends."""
  gain = context.gpt.metric.gain
  return float(np.mean((gain(metric) >= gain(level)) & (distance > beyond)))


def _novel_performant(context: Context, judged: dict[str, Judged], median_distance: float) -> list[dict[str, Any]]:
  """A row for each level and distance."""
  rows = []
  for worse in WORSE:
    level = performs(context, judged["training"].recorded, worse)
    for farther in FARTHER:
      beyond = farther * median_distance
      shares = {
        name: novel_and_performant(context, one.recorded, one.distance, level, beyond) for name, one in judged.items()
      }
      rows.append({"worse": worse, "level": level, "farther": farther, "shares": shares})
  return rows


def _recitation(
  context: Context, starts: Recorded, kinds: dict[str, Float[np.ndarray, "net parameter"]]
) -> dict[str, float]:
  """As `recitation` measures it; beside it the distance between training ends."""
  spec, prompt = context.gpt.task.spec, context.gpt.metric.best_prompt
  first = jnp.repeat(starts.theta[:1], _COMPARED, axis=0)
  own = jnp.repeat(starts.metric[:1], _COMPARED)
  of_one = context.update(first, prompt, context.key("novelty", "one_start"), own)
  ends = context.ends(context.split.test[: len(starts.theta)]).theta
  found = recitation(spec, *map(np.asarray, (starts.theta, kinds["samples"], ends, of_one)), compared=_COMPARED)
  return found | {"ends": mean_distance(spec, kinds["training"][:_COMPARED])}


def _ensemble(context: Context, theta: Float[np.ndarray, "net parameter"], part: str) -> dict[str, float]:
  """The mean metric of networks, and the metric of all as one."""
  together = context.gpt.ensemble(jnp.asarray(theta), part)[context.gpt.metric_name]
  return {"single": float(context.metric(theta, part).mean()), "ensemble": float(together)}
