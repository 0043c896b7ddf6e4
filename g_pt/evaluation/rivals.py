"""What else can be had of a data set's images: descent, on Gaussian images, too, closed forms, regression.

Each rival learns from the training images, its settings are chosen by the loss on
the recorded ones, and final images are looked at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
import warnings

from jaxtyping import Array, Float
import numpy as np
from scipy.special import log_softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from g_pt.optimizers import baselines
from g_pt.optimizers.baselines import Baseline, Networks, OptimizersConfig
from g_pt.tasks.base import Task
from g_pt.tasks.class_statistics import class_statistics
from g_pt.tasks.datasets import Examples, Images
from g_pt.tasks.known import SHARED, gaussian_examples

# Of covariances towards a multiple of the identity; of each class's towards that of all; factors on log probabilities.
SHRINKAGE = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
TEMPERATURES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
PENALTIES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0)  # inverse strengths of regression's


def closed_forms(data: Images) -> dict[str, dict[str, float | None]]:
  """Loss (nats) and error (percent) on final images of the best of each kind; None: too few images for any setting."""
  kinds: dict[str, list[Any]] = {
    "linear discriminants": [LinearDiscriminantAnalysis(solver="lsqr", shrinkage=share) for share in SHRINKAGE],
    "quadratic discriminants": [QuadraticDiscriminantAnalysis(reg_param=share) for share in SHRINKAGE[1:]],
    "logistic regression": [LogisticRegression(C=penalty, max_iter=300) for penalty in PENALTIES],
  }
  return {name: _best(of_kind, data) for name, of_kind in kinds.items()}


def _best(classifiers: Sequence[Any], data: Images) -> dict[str, float | None]:
  """Of all settings and temperatures, by the recorded loss."""
  best = np.inf
  numbers: dict[str, float | None] = {"test_loss": None, "test_error": None}
  for fitted in classifiers:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")  # of what is singular, and of regression that has not ended
      try:
        fitted.fit(data.train.images, data.train.labels)
        recorded, final = (_log_probability(fitted, part) for part in (data.recorded, data.final))
      except (ValueError, np.linalg.LinAlgError):
        continue  # too few images for these settings
    for temperature in TEMPERATURES:
      loss = _loss(temperature * recorded, data.recorded)
      if loss < best:
        wrong = final.argmax(axis=1) != np.asarray(data.final.labels)
        best = loss
        numbers = {"test_loss": _loss(temperature * final, data.final), "test_error": float(100 * wrong.mean())}
  return numbers


def _log_probability(fitted: Any, examples: Examples) -> Float[np.ndarray, "example class"]:
  return np.maximum(fitted.predict_log_proba(np.asarray(examples.images)), -1e4)


def _loss(logits: Float[np.ndarray, "example class"], examples: Examples) -> float:
  labels = np.asarray(examples.labels)
  return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def gaussian_images(data: Images, count: int, key: Array) -> Images:
  """The same, with training images that are drawn by each class's mean and covariance alone."""
  labels = np.asarray(data.train.labels)
  statistics = class_statistics(data.train.images, labels, int(labels.max()) + 1, SHARED)
  drawn = gaussian_examples(statistics, count, key)
  images = drawn.reshape(-1, drawn.shape[-1])
  return data._replace(train=Examples(images, np.repeat(np.arange(len(drawn), dtype=np.int32), count)))


class Descent(NamedTuple):
  """Gradient descent with the rate and decay that suit a data set."""

  baseline: Baseline
  best: dict[str, dict[str, float]]  # by the metric that settings are chosen by: every metric on final images


def descent(
  task: Task, recipe: Any, data: Images, networks: Networks, settings: OptimizersConfig, seed: int
) -> Descent:
  """Nesterov's, tuned on other networks by recorded images; its best is where these are best on the way."""
  runner = baselines.runner_of(task, recipe, data, settings, "nesterov")
  found = baselines.measured(task, runner, networks, seed)
  best = {}
  for name in task.measurement.metrics:
    gain = task.metric(name).gain(found.choosing.mean("recorded", name))
    place = np.unravel_index(np.argmax(np.where(np.isfinite(gain), gain, -np.inf)), gain.shape)
    best[name] = {metric: float(found.fresh.mean("final", metric)[place]) for metric in task.measurement.metrics}
  return Descent(found, best)


def steps_to_match(
  task: Task, found: Descent, metric: str, achieved: Mapping[str, Float[np.ndarray, "net"]]
) -> dict[str, Any]:
  """Of descent on final images, see g_pt.optimizers.baselines.

  `achieved` by the networks that descent began from, by part: settings are those that
  match soonest on recorded images.
  """
  choice = baselines.choose(task, found.baseline, metric, float(achieved["recorded"].mean()))
  return baselines.steps_to_match(task, found.baseline, choice, metric, "final", achieved["final"])
