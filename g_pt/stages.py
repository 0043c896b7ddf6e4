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
from typing import Any

from g_pt import many_sets, one_set, processes, provenance, sharding, trained, workdir
from g_pt.config import Experiment
from g_pt.corpus.generate import generate
from g_pt.corpus.manifest import exists
from g_pt.corpus.split import check_complete, split_runs
from g_pt.corpus.store import Corpus
from g_pt.errors import UserError
from g_pt.evaluation.base import Context
from g_pt.family_gpt import FamilyGPT
from g_pt.job import Job
from g_pt.plugins import PLUGINS
from g_pt.report import page
from g_pt.train.loop import train as run_training
from g_pt.train.step import Step


def corpus(job: Job) -> None:
  """Trains the small networks whose checkpoints are the data."""
  wanted = (job, *job.further)
  for one in wanted:
    if exists(one.corpus_path):
      one.open_corpus()
  data = [one.load_data() for one in wanted]
  job.begin()
  for one, of_one in zip(wanted, data):
    experiment = one.experiment
    generate(one.task, experiment.recipe, experiment.corpus, experiment.seed, of_one, one.corpus_path)


def train(job: Job) -> None:
  """Trains G.pt on the corpus."""
  experiment, directory = job.experiment, job.directory
  opened = job.open_corpus()
  if (directory / workdir.TRAINED).exists():
    if "imported" in provenance.refuse_other_training(directory, experiment.values):
      print(f"{directory}: its weights were imported; there is nothing to train")
      return
  split = split_runs(opened, experiment.split)
  for one in job.further:
    check_complete(one.open_corpus())
  job.begin()
  kind = one_set if job.task.draw is None else many_sets
  prepared = kind.prepare(job, opened, split)
  step = Step(job.task, prepared.generator, experiment.train, sharding.make_mesh(experiment.mesh))
  run_training(step, prepared.source, experiment.seed, directory, prepared.probe, prepared.data, prepared.further)


def evaluate(job: Job) -> None:
  """Makes the evaluations that are asked for and not there yet, each with a file of its own."""
  experiment, directory = job.experiment, job.directory
  opened = job.open_corpus()
  provenance.refuse_other_training(directory, experiment.values)
  missing = [name for name in experiment.experiments if _evaluated(job, name) is None]
  training_seconds = trained.training_seconds(directory, experiment.train.steps)
  job.begin()
  if missing:
    model = trained.load(directory, experiment.data_dir).with_config(experiment.sample)
    family = model if isinstance(model, FamilyGPT) else None
    context = Context(
      gpt=model.on_none() if isinstance(model, FamilyGPT) else model,
      corpus=opened,
      split=split_runs(opened, experiment.split),
      seed=experiment.seed,
      training_seconds=training_seconds,
      optimizers=experiment.optimizers,
      optimizers_folder=job.optimizers_folder,
      history=functools.partial(trained.history, directory, model.generator),
      family=family,
    )
    for name in missing:
      _make_evaluation(job, name, context)
  workdir.write_json(directory / workdir.SUMMARY, _summary(job, opened, training_seconds))


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
  further = [one.open_corpus() for one in job.further]
  found = {name: content for name in PLUGINS if (content := _evaluated(job, name)) is not None}
  return {
    "task": job.experiment.task,
    "metric": job.experiment.metric,
    **{name: content["summary"] for name, content in found.items()},
    "seconds": {
      "corpus": round(sum(one.manifest.seconds for one in (opened, *further)), 1),
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
