"""One experiment in one workdir: what its stages ask for, and where their files are."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from g_pt import processes, tasks, workdir
from g_pt.config import Experiment
from g_pt.corpus.generate import manifest_of, open_matching
from g_pt.corpus.storage import Place, place_of
from g_pt.corpus.store import Corpus
from g_pt.errors import UserError
from g_pt.tasks import family
from g_pt.tasks.base import Task

_FURTHER_RUNS = 1 / 4  # of those of a corpus, how many a further one has


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

  @property
  def further(self) -> tuple[Job, ...]:
    """Of many data sets, the same for each further number of classes, with a smaller corpus inside the first one's."""
    return tuple(map(self._with_classes, self.experiment.train.classes or ()))

  def _with_classes(self, classes: int) -> Job:
    experiment, corpus, place = self.experiment, self.experiment.corpus, self.corpus_path
    runs = max(1, int(_FURTHER_RUNS * corpus.runs) // corpus.group_size) * corpus.group_size
    name = f"classes_{classes}"
    other = dataclasses.replace(
      experiment,
      task=family.with_classes(experiment.task, classes),
      corpus=dataclasses.replace(corpus, runs=runs),
      corpus_path=str(place / name) if isinstance(place, Path) else f"{place}/{name}",
    )
    return self._replace(experiment=other)

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
