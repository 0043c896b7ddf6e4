"""Which runs of a corpus are for training, for choices and for final numbers."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from jaxtyping import Bool, Float, Int
import numpy as np

from g_pt.corpus.manifest import Manifest
from g_pt.corpus.store import Corpus
from g_pt.errors import CorpusError
from g_pt.fields import Settings, limited


@dataclasses.dataclass(frozen=True)
class SplitConfig(Settings):
  """Which runs count, and how many are held out.

  Runs of one group share the order of their minibatches: whole groups are held
  out, enough for the number asked for. A run of a cut is for what it is for in the
  corpus that was cut.
  """

  validation_runs: int = limited(64, least=1)  # for probes while training goes on and for choices of settings
  test_runs: int = limited(64, least=1)  # for evaluation alone
  # Runs with a weight above it in magnitude are dropped (Peebles et al. 2022).
  largest_weight: float = limited(10.0, above=0)
  # Of training runs, what comes from the first checkpoint on whose metric is better than this is left out of training,
  # so that prompts beyond it ask for what was never seen. None: all is used.
  only_up_to: float | None = None
  # Of the training runs, and of the checkpoints of each, that many are used: the first runs, and checkpoints evenly
  # spaced among those kept, the first and the last among them. None: all.
  used_runs: int | None = limited(None, least=1)
  used_checkpoints: int | None = limited(None, least=2)


class Split(NamedTuple):
  """Indices of the sound runs of each kind."""

  train: Int[np.ndarray, "train"]
  validation: Int[np.ndarray, "validation"]
  test: Int[np.ndarray, "test"]
  rejected: int  # runs with a number that is not finite, or a weight too large


class Census(NamedTuple):
  """What a report tells of the runs that a model was trained on."""

  train_runs: int
  validation_runs: int
  test_runs: int
  rejected: int
  checkpoints: int  # of a run
  final_mean: float  # of the metric at the end of training runs


def sound(corpus: Corpus, largest: float) -> Bool[np.ndarray, "run"]:
  """Which runs have every weight finite and at most `largest`, and every recorded number finite."""
  numbers = (np.isfinite(corpus.read(array)).all(axis=1) for array in corpus.metrics.values())
  return np.logical_and.reduce([corpus.read(corpus.largest) <= largest, *numbers])


def check_complete(corpus: Corpus) -> None:
  """Raises CorpusError where groups are missing."""
  manifest = corpus.manifest
  if not manifest.complete:
    done = f"{len(manifest.groups_done)} of {manifest.num_groups} groups are there"
    raise CorpusError(f"{corpus.path}: the corpus is unfinished ({done}); run --stage=corpus")


def _original(manifest: Manifest) -> tuple[int, int]:
  """(runs, how many of them, one after another, share something) of what it was cut from, or of itself."""
  cut = manifest.cut or {"runs": manifest.runs, "group_size": manifest.group_size}
  # Of runs made elsewhere nobody knows what they share.
  return cut["runs"], cut["group_size"] if manifest.imported is None else 1


def held_out_from(corpus: Corpus, config: SplitConfig) -> tuple[int, int]:
  """The first run for validation and the first for test; of a cut, by what the runs were in the corpus it is of."""
  runs, group = _original(corpus.manifest)

  def begin_of_last(count: int, end: int) -> int:
    return max(0, (end - count) // group * group)

  test = begin_of_last(config.test_runs, runs)
  validation = begin_of_last(config.validation_runs, test)
  first_validation, first_test = np.searchsorted(corpus.original_runs(), [validation, test])
  return int(first_validation), int(first_test)


def split_runs(corpus: Corpus, config: SplitConfig) -> Split:
  """The runs of a whole corpus: the last groups for test, those before for validation, the others for training.

  With `used_runs` fewer are for training; those for validation and test stay the same.
  Raises CorpusError where the corpus is unfinished or too few sound runs are left.
  """
  manifest = corpus.manifest
  check_complete(corpus)
  _, group = _original(manifest)
  good = np.flatnonzero(sound(corpus, config.largest_weight))
  rejected = manifest.runs - len(good)
  train, held, last = np.split(good, np.searchsorted(good, held_out_from(corpus, config)))
  for name, part in (("training", train), ("validation", held), ("test", last)):
    if not len(part):
      raise CorpusError(
        f"{corpus.path}: {manifest.runs} runs in groups of {group} ({rejected} rejected) leave none for {name}: "
        f"corpus.validation_runs={config.validation_runs} and corpus.test_runs={config.test_runs} take whole groups"
      )
  if config.used_runs is not None and config.used_runs > len(train):
    raise CorpusError(f"{corpus.path}: corpus.used_runs={config.used_runs} of {len(train)} training runs")
  return Split(train[: config.used_runs], held, last, rejected)


def used_checkpoints(corpus: Corpus, config: SplitConfig) -> Int[np.ndarray, "checkpoint"]:
  """Which checkpoints of a run training sees; CorpusError where more are wanted than were kept."""
  kept = corpus.manifest.checkpoints
  count = kept if config.used_checkpoints is None else config.used_checkpoints
  if count > kept:
    raise CorpusError(f"{corpus.path}: corpus.used_checkpoints={count} of {kept} checkpoints of a run")
  return np.round(np.linspace(0, kept - 1, count)).astype(np.int64)


def census(split: Split, metric: Float[np.ndarray, "train checkpoint"]) -> Census:
  """`metric` is that of the training runs, at the checkpoints that are used."""
  return Census(
    train_runs=len(split.train),
    validation_runs=len(split.validation),
    test_runs=len(split.test),
    rejected=split.rejected,
    checkpoints=metric.shape[1],
    final_mean=float(metric[:, -1].mean()),
  )
