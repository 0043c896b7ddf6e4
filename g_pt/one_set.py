"""What training needs of an experiment whose networks are all for one data set."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
from jaxtyping import PyTree

from g_pt import gpt, processes, trained
from g_pt.corpus.families import FamilySource
from g_pt.corpus.pairs import PairSource, Stored, sort_targets
from g_pt.corpus.split import Split, census, used_checkpoints
from g_pt.corpus.statistics import Statistics, measure_statistics
from g_pt.corpus.store import Corpus
from g_pt.evaluation import alignment
from g_pt.evaluation.base import starts_of
from g_pt.family_generator import FamilyGenerator
from g_pt.generator import Generator
from g_pt.job import Job
from g_pt.keys import stream
from g_pt.train.feed import fits
from g_pt.train.loop import Lesson, Probe

# The most validation runs whose alignment is measured while training goes on.
_PROBED = 24


class Prepared(NamedTuple):
  """What a training is made from, beside its settings."""

  generator: Generator | FamilyGenerator
  source: PairSource | FamilySource | Stored
  probe: Probe
  data: Any  # the task's, where the loss looks at it
  further: tuple[Lesson, ...] = ()


def prepare(job: Job, opened: Corpus, split: Split) -> Prepared:
  """Measures the corpus, and writes down all of the model but its weights."""
  experiment, directory = job.experiment, job.directory
  source = _source(job, opened, split)
  if processes.first():
    trained.write_trained(directory, experiment.values, _statistics(job, source, split))
  processes.wait("statistics")
  statistics, _ = trained.read_statistics(directory)  # of all processes the same, to the last bit
  model = gpt.build(experiment, statistics, functools.cache(job.load_data))
  key = stream(experiment.seed, "train", "probe")

  settings = experiment.evaluate["alignment"]
  assert isinstance(settings, alignment.Settings)
  starts = starts_of(opened, experiment.metric, split.validation[: min(settings.networks, _PROBED)])

  def probe(weights: PyTree) -> dict[str, float]:
    return {"prompt_alignment": alignment.probe(model, starts, settings.prompts, key, weights)}

  # Only where the loss looks at it does it go to the devices.
  data = job.task.training.seen(model.data) if experiment.train.behaviour else None
  return Prepared(model.generator, source, probe, data)


def _statistics(job: Job, source: PairSource | Stored, split: Split) -> Statistics:
  experiment = job.experiment
  return measure_statistics(
    source,
    job.task.spec,
    experiment.train.pairs,
    census(split, jax.device_get(source.targets.metric)),
    experiment.diffusion.directions,
    stream(experiment.seed, "statistics"),
  )


def _source(job: Job, opened: Corpus, split: Split) -> PairSource | Stored:
  """The training runs, in memory if that is asked for or if they fit."""
  experiment = job.experiment
  chosen = used_checkpoints(opened, experiment.split)
  values = opened.read(opened.metrics[experiment.metric], split.train)[:, chosen]
  metric = job.task.metric(experiment.metric)
  targets = sort_targets(values, metric, experiment.train.pairs, experiment.split.only_up_to)
  size = values.size * job.task.spec.size * opened.theta.dtype.numpy_dtype.itemsize
  stream = experiment.train.stream
  if not processes.all_say(fits(size)) if stream is None else stream:
    if processes.first():
      print(f"{opened.path}: {size / 1e9:.3g} GB of checkpoints, read while training goes on")
    return Stored(lambda run, checkpoint: opened.read_points(split.train[run], chosen[checkpoint]), targets)
  theta = opened.read(opened.theta, split.train)
  # A copy that a whole corpus need not make.
  return PairSource(theta if len(chosen) == theta.shape[1] else theta[:, chosen], targets)
