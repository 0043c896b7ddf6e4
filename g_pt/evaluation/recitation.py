"""Whether different starts get different networks: a generator that has learned one good network recites it.

Then samples of different starts are hardly farther apart than those of one, and a
sample does not go its own run's way.
"""

from __future__ import annotations

from jaxtyping import Float
import numpy as np

from g_pt.parameters import ParameterSpec, matching


def recitation(
  spec: ParameterSpec,
  start: Float[np.ndarray, "net parameter"],
  sample: Float[np.ndarray, "net parameter"],
  end: Float[np.ndarray, "net parameter"],
  of_one: Float[np.ndarray, "other parameter"],
  compared: int | None = None,
) -> dict[str, float]:
  """Mean distances between samples, and between others that all have one start; how far samples go a run's way.

  `end` is where runs from the same starts end: the cosine is that of both ways from
  a start, in the mean. Distances are of the first `compared` samples; None: of all.
  """
  step, run = sample - start, end - start
  cosine = np.sum(step * run, axis=1) / (np.linalg.norm(step, axis=1) * np.linalg.norm(run, axis=1))
  return {
    "different_starts": mean_distance(spec, sample[:compared]),
    "one_start": mean_distance(spec, of_one),
    "cosine": float(cosine.mean()),
  }


def mean_distance(spec: ParameterSpec, theta: Float[np.ndarray, "net parameter"]) -> float:
  """Of all pairs of networks, aligned."""
  away = matching.distances(spec, theta, theta)
  return float(away[np.triu_indices(len(theta), 1)].mean())
