"""From a corpus on disk to what training needs: sound runs, their statistics, a split by run."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Float, Int
import numpy as np

from g_pt.corpus.store import Corpus
from g_pt.directions import Reduction, principal_directions
from g_pt.errors import CorpusError
from g_pt.parameters import ParameterSpec

# Of the targets' metric. What lies beyond is too rare to be learned.
PROMPTED_QUANTILES = (0.005, 0.995)


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
  """Which runs count, and how many are held out."""

  test_runs: int = 64  # held out of training: the unseen runs of every evaluation
  largest_weight: float = 10.0  # runs with a weight above it in magnitude are dropped (Peebles et al. 2022)

  def __post_init__(self):
    if self.test_runs < 1:
      raise ValueError(f"corpus.test_runs: {self.test_runs} is less than 1")


class Runs(NamedTuple):
  """Whole runs, on the host."""

  theta: Float[np.ndarray, "run checkpoint parameter"]
  metric: Float[np.ndarray, "run checkpoint"]


class Statistics(NamedTuple):
  """What a trained model must know of the corpus it was trained on; plain numbers, so that they go in a file."""

  start_std: dict[str, float]  # of parameters, by layer
  update_std: dict[str, float]  # of differences between two checkpoints of a run, by layer
  metric_lowest: float
  metric_highest: float
  runs: int  # sound ones, for training and test
  test_runs: int
  rejected: int  # runs with a non-finite number or a weight too large
  checkpoints: int  # of a run
  mean_final_metric: float
  # Quantiles of the targets' metric (0.5 % and 99.5 %): prompts beyond them are taken for them. None: no such limits.
  prompt_range: list[float] | None = None
  # Root mean square of updates, by layer an array of its shape in which hidden units share a number (axes of size 1).
  update_size: dict[str, Any] = {}
  # By layer, where updates are diffused along principal directions only: [input][direction]; the standard
  # deviations of such a layer are those of its coordinates.
  directions: dict[str, list[list[float]]] = {}


class Prepared(NamedTuple):
  train: Runs
  test: Runs  # the last sound runs of the corpus
  statistics: Statistics


def sound_runs(
  theta: Float[np.ndarray, "run checkpoint parameter"], metric: Float[np.ndarray, "run checkpoint"], largest: float
) -> Int[np.ndarray, "sound"]:
  """Indices of the runs whose every weight is finite and at most `largest`, and whose metric is finite."""
  # A NaN fails the comparison, as it should; maximum and minimum make no copy of theta.
  extreme = np.maximum(theta.max(axis=(1, 2)), -theta.min(axis=(1, 2)))
  return np.flatnonzero((extreme <= largest) & np.isfinite(metric).all(axis=1))


def prepare(corpus: Corpus, spec: ParameterSpec, metric: str, config: PrepareConfig, directions: int = 0) -> Prepared:
  """Reads a whole corpus into memory, drops unsound runs (counted) and holds out the last ones.

  With `directions`, the statistics hold that many principal directions of wide layers.

  Raises CorpusError where the corpus is unfinished, lacks the metric, or too
  few runs are left.
  """
  manifest = corpus.manifest
  if not manifest.complete:
    done = f"{len(manifest.groups_done)} of {manifest.num_groups} groups are there"
    raise CorpusError(f"{corpus.path}: the corpus is unfinished ({done}); run --stage=corpus")
  if metric not in corpus.metrics:
    raise CorpusError(f"{corpus.path}: no metric {metric!r} recorded; there is: {', '.join(corpus.metrics)}")
  theta, values = corpus.read(corpus.theta), corpus.read(corpus.metrics[metric])
  sound = sound_runs(theta, values, config.largest_weight)
  rejected = len(theta) - len(sound)
  if len(sound) < config.test_runs + 1:
    raise CorpusError(
      f"{corpus.path}: {len(sound)} sound runs ({rejected} rejected) cannot give "
      f"corpus.test_runs={config.test_runs} and at least one to train on"
    )
  if rejected:
    theta, values = theta[sound], values[sound]
  cut = len(theta) - config.test_runs
  train = Runs(theta[:cut], values[:cut])
  statistics = _statistics(train, spec, directions)._replace(
    runs=len(theta), test_runs=config.test_runs, rejected=rejected
  )
  return Prepared(train, Runs(theta[cut:], values[cut:]), statistics)


def _statistics(train: Runs, spec: ParameterSpec, directions: int) -> Statistics:
  """Of the training runs alone; the numbers of runs are left at 0."""
  theta, metric = train
  rng = np.random.default_rng(0)
  # Pairs as training draws them: a start that is often the initial network, a later target.
  run = rng.integers(len(theta), size=4096)
  target = rng.integers(1, theta.shape[1], size=run.size)
  start = rng.integers(0, target)
  update = theta[run, target] - theta[run, start]
  basis = principal_directions(spec, update, directions) if directions else {}
  reduction = Reduction.of(spec, basis)

  def std(values):
    values = np.asarray(reduction.reduce(jnp.asarray(values)))
    return {name: float(values[:, part].std()) for name, part in reduction.reduced.slices.items()}

  return Statistics(
    start_std=std(theta[run, start]),
    update_std=std(update),
    metric_lowest=float(metric.min()),
    metric_highest=float(metric.max()),
    runs=0,
    test_runs=0,
    rejected=0,
    checkpoints=theta.shape[1],
    mean_final_metric=float(metric[:, -1].mean()),
    prompt_range=np.quantile(metric[:, 1:], PROMPTED_QUANTILES).tolist(),
    update_size=_shared_size(reduction, update),
    # Six digits: orthonormal to float32, in a file that can be read.
    directions={name: columns.round(6).tolist() for name, columns in basis.items()},
  )


def _shared_size(reduction: Reduction, update: Float[np.ndarray, "update parameter"]) -> dict[str, Any]:
  """`Statistics.update_size`: as the units of a hidden layer may change places, they have one size."""
  spec = reduction.reduced
  hidden = {(name, axis) for layer in spec.hidden_layers for name, axis in layer.axes}
  squares = np.asarray(reduction.reduce(jnp.asarray(update))) ** 2
  sizes = {}
  for name, part in spec.slices.items():
    shape = spec.shape(name)
    axes = (0, *(axis + 1 for axis in range(len(shape)) if (name, axis) in hidden))
    mean = squares[:, part].reshape(-1, *shape).mean(axis=axes, keepdims=True)[0]
    sizes[name] = np.sqrt(mean).tolist()
  return sizes
