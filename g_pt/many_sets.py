"""What training needs of an experiment whose networks are for many data sets, one a group of runs.

With `train.classes` there are networks of other numbers of classes, too, each from a
corpus of its own, all of whose runs are for training.
"""

from __future__ import annotations

import jax
from jaxtyping import Float, Int, PyTree
import numpy as np

from g_pt import family_gpt, processes, progress, sharding, trained
from g_pt.corpus.families import FamilySource, family_source
from g_pt.corpus.family_statistics import measure_family_statistics, measure_ranges
from g_pt.corpus.generate import group_key
from g_pt.corpus.split import Split, census, sound
from g_pt.corpus.store import Corpus
from g_pt.errors import CorpusError
from g_pt.evaluation import data_sets
from g_pt.job import Job
from g_pt.keys import fold, stream
from g_pt.one_set import Prepared
from g_pt.tasks import family
from g_pt.tasks.base import Task
from g_pt.tasks.known import few_of, known_of
from g_pt.train.loop import Lesson
from g_pt.train.step import Step

_PROBED = 6  # validation sets whose alignment is measured while training goes on, at most
_TOLD = 128  # examples of a class that training keeps of each data set
_FEW = (1, 2, 5, 10, 20, 50)  # images of a class, by one of which each data set is known a second time


def prepare(job: Job, opened: Corpus, split: Split) -> Prepared:
  """Measures the corpus, and writes down all of the model but its weights."""
  experiment, directory = job.experiment, job.directory
  metrics, sources = tuple(job.task.measurement.metrics), job.load_data()
  source = _source(job, opened, split.train, metrics, sources)
  further = {one.task: _further_source(one, metrics, sources) for one in job.further}
  if processes.first():
    of_metric = source.values[:, metrics.index(experiment.metric)]
    counted = census(split, np.asarray(of_metric).reshape(-1, of_metric.shape[-1]))
    key = stream(experiment.seed, "statistics")
    statistics = measure_family_statistics(source, job.task.spec, metrics, experiment.train.pairs, counted, key)
    for number, (task, other) in enumerate(further.items()):
      ranges = measure_ranges(other, task.spec, metrics, experiment.train.pairs, fold(key, "further", number))
      statistics = statistics.widened(ranges)
    trained.write_family(directory, experiment.values, statistics)
  processes.wait("statistics")
  statistics = trained.read_family_statistics(directory)  # of all processes the same, to the last bit
  model = family_gpt.build(experiment, statistics, experiment.data_dir)
  settings = experiment.evaluate["data_sets"]
  assert isinstance(settings, data_sets.Settings)
  probed = data_sets.drawn_sets(
    model, opened, split.validation, "validation", _PROBED, settings.networks, experiment.seed
  )
  key = stream(experiment.seed, "train", "probe")

  def probe(weights: PyTree) -> dict[str, float]:
    return {"prompt_alignment": data_sets.probe(probed, settings.prompts, key, weights)}

  mesh = sharding.make_mesh(experiment.mesh)

  def lesson(task: Task, source: FamilySource) -> Lesson:
    generator = model.for_classes(family.classes_of(task.name)).generator
    return Lesson(Step(task, generator, experiment.train, mesh), source)

  return Prepared(model.generator, source, probe, None, tuple(lesson(*one) for one in further.items()))


def _further_source(job: Job, metrics: tuple[str, ...], sources: PyTree) -> FamilySource:
  opened = job.open_corpus()
  runs = np.flatnonzero(sound(opened, job.experiment.split.largest_weight))
  if not len(runs):
    raise CorpusError(f"{opened.path}: none of its {opened.manifest.runs} runs is sound")
  return _source(job, opened, runs, metrics, sources)


def _source(
  job: Job, opened: Corpus, used: Int[np.ndarray, "run"], metrics: tuple[str, ...], sources: PyTree
) -> FamilySource:
  size = opened.manifest.group_size
  sets = opened.groups_of(used)
  runs = (sets[:, None] * size + np.arange(size)[None]).ravel()
  is_used = np.isin(runs, used).reshape(len(sets), size)
  theta = opened.read(opened.theta, runs)
  values = np.stack([opened.read(opened.metrics[name], runs) for name in metrics])

  def by_set(x: Float[np.ndarray, "run ..."]) -> Float[np.ndarray, "set member ..."]:
    return x.reshape(len(sets), size, *x.shape[1:])

  drawn = jax.jit(lambda key: job.task.data_of(sources, key).train)
  told, rng = [], np.random.default_rng(job.experiment.seed)
  classes = family.classes_of(job.task.name)
  for group in progress.track(opened.original_groups(sets).tolist(), desc=f"data sets, {classes} classes", unit="set"):
    train = jax.device_get(drawn(group_key(job.experiment.seed, group)))
    few = few_of(train.labels, int(rng.choice(_FEW)), rng)
    told.append(
      [known_of(train.images[some], train.labels[some], classes, _TOLD) for some in (np.arange(len(train.labels)), few)]
    )
  return family_source(
    by_set(theta),
    np.stack([by_set(x) for x in values], axis=1),
    told,
    [job.task.metric(name) for name in metrics],
    job.experiment.train.pairs,
    is_used,
  )
