"""The stages of an experiment: corpus -> train -> evaluate -> report, each from files to files in the workdir.

Every stage can be run alone, killed and run again. What it reads must have
been made under the settings it is given; the fields that differ are named
before anything is computed or written.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from pathlib import Path
import time
from typing import Any, NamedTuple

import jax

from g_pt import gpt, processes, provenance, sharding, tasks, trained, workdir
from g_pt.checkpointing import Checkpoints
from g_pt.config import Experiment
from g_pt.corpus.generate import generate, manifest_of, open_matching
from g_pt.corpus.manifest import exists
from g_pt.corpus.pairs import PairSource, Stored, sort_targets
from g_pt.corpus.split import Split, census, split_runs, used_checkpoints
from g_pt.corpus.statistics import Statistics, measure_statistics
from g_pt.corpus.storage import Place, place_of
from g_pt.corpus.store import Corpus
from g_pt.errors import UserError
from g_pt.evaluation import alignment
from g_pt.evaluation.base import Context, starts_of
from g_pt.keys import stream
from g_pt.plugins import PLUGINS
from g_pt.report import page
from g_pt.tasks.base import Task
from g_pt.train.feed import fits
from g_pt.train.loop import train as run_training
from g_pt.train.step import Step

# The most validation runs whose alignment is measured while training goes on.
_PROBED = 24


class Job(NamedTuple):
  """An experiment in its workdir, and the command line that asked for it, for the report to show."""

  experiment: Experiment
  directory: Path
  command: str | None = None

  @property
  def task(self) -> Task:
    return tasks.get(self.experiment.task)

  @property
  def corpus_path(self) -> Place:
    path = self.experiment.corpus_path
    return place_of(path) if path else self.directory / workdir.CORPUS

  @property
  def optimizers_folder(self) -> Path:
    """Beside a corpus in a folder, where other models find the curves; those of one in a bucket stay in the workdir."""
    place = self.corpus_path
    return (place if isinstance(place, Path) else self.directory) / workdir.OPTIMIZERS

  def begin(self) -> None:
    """Writes down what runs; a stage calls it once it has refused what does not fit."""
    if not processes.first():
      return
    workdir.write_json(self.directory / workdir.CONFIG, self.experiment.values)
    if self.command:
      workdir.write_bytes(self.directory / workdir.COMMAND, f"{self.command}\n".encode())

  def load_data(self) -> Any:
    return self.task.load(self.experiment.data_dir)

  def open_corpus(self) -> Corpus:
    """UserError where it is missing or was made under other settings."""
    experiment = self.experiment
    wanted = manifest_of(self.task, experiment.recipe, experiment.corpus, experiment.seed)
    corpus = open_matching(self.corpus_path, wanted)
    if experiment.metric not in corpus.metrics:
      there_is = ", ".join(corpus.metrics)
      raise UserError(f"{corpus.path}: no metric {experiment.metric!r} recorded; there is: {there_is}")
    return corpus


def corpus(job: Job) -> None:
  """Trains the small networks whose checkpoints are the data."""
  if exists(job.corpus_path):
    job.open_corpus()
  job.begin()
  experiment = job.experiment
  generate(job.task, experiment.recipe, experiment.corpus, experiment.seed, job.load_data(), job.corpus_path)


def train(job: Job) -> None:
  """Trains G.pt on the corpus."""
  experiment, directory = job.experiment, job.directory
  if job.task.draw is not None:
    raise UserError(f"task: {experiment.task!r} has many data sets; of these this command makes corpora, no G.pt yet")
  opened = job.open_corpus()
  if (directory / workdir.TRAINED).exists():
    if "imported" in provenance.refuse_other_training(directory, experiment.values):
      print(f"{directory}: its weights were imported; there is nothing to train")
      return
  split = split_runs(opened, experiment.split)
  job.begin()
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

  def probe(weights) -> dict[str, float]:
    return {"prompt_alignment": alignment.probe(model, starts, settings.prompts, key, weights)}

  step = Step(job.task, model.generator, experiment.train, sharding.make_mesh(experiment.mesh))
  # Only where the loss looks at it does it go to the devices.
  data = job.task.training.seen(model.data) if experiment.train.behaviour else None
  run_training(step, source, experiment.seed, directory, probe, data)


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


def evaluate(job: Job) -> None:
  """Makes the evaluations that are asked for and not there yet, each with a file of its own."""
  experiment, directory = job.experiment, job.directory
  opened = job.open_corpus()
  provenance.refuse_other_training(directory, experiment.values)
  missing = [name for name in experiment.experiments if _evaluated(job, name) is None]
  with Checkpoints(directory / workdir.CHECKPOINTS, read_only=True) as checkpoints:
    done, progress = checkpoints.latest or 0, checkpoints.progress() if checkpoints.latest else {"seconds": 0.0}
  if done < experiment.train.steps:
    raise UserError(f"{directory}: training is unfinished, step {done} of {experiment.train.steps}; run --stage=train")
  job.begin()
  if missing:
    model = trained.load(directory, experiment.data_dir).with_config(experiment.sample)
    context = Context(
      gpt=model,
      corpus=opened,
      split=split_runs(opened, experiment.split),
      seed=experiment.seed,
      training_seconds=progress["seconds"],
      optimizers=experiment.optimizers,
      optimizers_folder=job.optimizers_folder,
      history=functools.partial(trained.history, directory, model.generator),
    )
    for name in missing:
      _make_evaluation(job, name, context)
  workdir.write_json(directory / workdir.SUMMARY, _summary(job, opened, progress["seconds"]))


def _settings(job: Job, name: str) -> dict[str, Any]:
  return provenance.evaluation_settings(job.experiment.values, name, PLUGINS[name].evaluation.USES)


def _evaluated(job: Job, name: str) -> dict[str, Any] | None:
  """The content of an evaluation's file, None where there is none; UserError where it has other settings."""
  file = job.directory / workdir.EVALUATION / f"{name}.json"
  return provenance.refuse_other_evaluation(file, _settings(job, name))


def _make_evaluation(job: Job, name: str, context: Context) -> None:
  """Measures, and writes the arrays and then the file that says that they are there."""
  began = time.monotonic()
  result = PLUGINS[name].evaluation.run(context, job.experiment.evaluate[name])
  folder = job.directory / workdir.EVALUATION
  workdir.write_arrays(folder / f"{name}.npz", result.arrays)
  seconds = round(time.monotonic() - began, 1)
  content = {"settings": _settings(job, name), "summary": result.summary, "seconds": seconds}
  workdir.write_json(folder / f"{name}.json", content)


def _summary(job: Job, opened: Corpus, training_seconds: float) -> dict[str, Any]:
  """Of all evaluations that are there, for a script to read."""
  found = {name: content for name in PLUGINS if (content := _evaluated(job, name)) is not None}
  return {
    "task": job.experiment.task,
    "metric": job.experiment.metric,
    **{name: content["summary"] for name, content in found.items()},
    "seconds": {
      "corpus": round(opened.manifest.seconds, 1),
      "train": round(training_seconds, 1),
      "evaluate": round(sum(content["seconds"] for content in found.values()), 1),
    },
  }


def report(job: Job) -> None:
  """Writes one HTML page from what `evaluate` left."""
  for name in job.experiment.experiments:
    _evaluated(job, name)
  job.begin()
  page.write(job.directory, job.experiment.values, _sections(job), job.command)


def _sections(job: Job) -> dict[str, Any]:
  return {name: plugin.section for name, plugin in PLUGINS.items() if name in job.experiment.experiments}


STAGES: dict[str, Callable[[Job], None]] = {
  "corpus": corpus,
  "train": train,
  "evaluate": evaluate,
  "report": report,
}


# The others are the first one's alone.
_OF_ALL_PROCESSES = ("corpus", "train")


def run(experiment: Experiment, directory: Path, stage: str, command: str | None = None) -> None:
  """Runs one stage, or with `all` each in turn, and prints the summary after those that make or show it.

  `command` is the command line that asked for it, for the report to show.
  """
  if stage != "all" and stage not in STAGES:
    raise UserError(f"--stage: unknown {stage!r}; it is one of: {', '.join(STAGES)}, all")
  try:
    directory.mkdir(parents=True, exist_ok=True)
    workdir.check_writable(directory)
  except OSError as error:
    raise UserError(f"--workdir: cannot write to {directory}: {error.strerror}") from None
  job = Job(experiment, directory, command)
  for name in STAGES if stage == "all" else [stage]:
    if processes.first() or name in _OF_ALL_PROCESSES:
      STAGES[name](job)
  if not processes.first():
    return
  if stage in ("all", "evaluate", "report"):
    print(page.summary_text(directory, experiment.values, _sections(job)))
  if stage in ("all", "report"):
    print(f"report: {directory / workdir.REPORT}")
