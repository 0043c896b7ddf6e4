"""Checkpoint datasets of the public PyTorch release -> a corpus, and a corpus -> such a dataset.

    python -m g_pt.interop.lmdb_corpus import checkpoint_datasets/mnist --task=mnist --workdir=runs/mnist
    python -m g_pt.interop.lmdb_corpus export checkpoint_datasets/mine --workdir=runs/mnist

An import looks at every run first, then copies one group of runs at a time and
goes on where it was killed; `main.py --stage=train` takes the corpus like one
that was made here. `--on-error=skip` leaves out runs that cannot be read and
names them; the default stops at the first, before anything is written.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import itertools
import os
from pathlib import Path
import shutil
import sys
import time
from typing import NamedTuple

from jaxtyping import Float, Int
import numpy as np

from g_pt import progress, workdir
from g_pt.corpus.generate import CorpusConfig
from g_pt.corpus.manifest import Manifest, exists, read_manifest
from g_pt.corpus.split import SplitConfig, sound
from g_pt.corpus.store import Corpus
from g_pt.errors import CorpusError, UserError
from g_pt.interop import command, layout, release_dataset
from g_pt.interop.release_dataset import BadRunError, Folder, RunTable
from g_pt.tasks.base import Task

# Our names of metrics -> the release's.
METRICS = {
  "test_loss": "avg_test_loss",
  "test_error": "avg_test_err",
  "train_loss": "avg_train_loss",
  "train_error": "avg_train_err",
  "episode_return": "train_ret",
}
# Steps of an epoch of the release's own runs: keys count them from the start of their epoch.
STEPS_PER_EPOCH = {"mnist": 468, "cifar10": 390}


class Imported(NamedTuple):
  corpus: Corpus
  skipped: dict[str, str]  # run -> why
  unsound: int  # runs that were copied and that training will drop: a number not finite, or a weight too large


class _Source(NamedTuple):
  """The sound runs of a dataset, all of one form."""

  runs: list[tuple[Path, str]]  # folder and name
  checkpoints: int
  metrics: dict[str, str]  # ours -> theirs
  skipped: dict[str, str]


def import_corpus(
  dataset: str | Path,
  task: Task,
  path: str | Path,
  *,
  on_error: str = "stop",
  runs: int | None = None,
  group_size: int = CorpusConfig.group_size,
  metrics: Mapping[str, str] | None = None,
  steps_per_epoch: int | None = None,
) -> Imported:
  """Copies a dataset of the release into the corpus at `path`, or finishes what an interrupted import began.

  Args:
    dataset: a folder of folders, each with a `data.mdb` and a `runs.json`.
    task: of the networks.
    on_error: `stop` or `skip`, at a run that cannot be read.
    runs: the most to import, the first ones; None: all.
    group_size: runs in memory at once.
    metrics: our name -> the release's name, beside METRICS.
    steps_per_epoch: of the training runs; None: as published for the task.

  Raises:
    UserError: a run that cannot be read, or nothing to import; the corpus is then absent or unfinished.
  """
  dataset, path = Path(dataset), Path(path)
  source = _inspect(dataset, task, on_error == "skip", runs, METRICS | dict(metrics or {}))
  wanted = Manifest(
    task=task.name,
    settings={"imported": {"source": str(dataset.resolve()), "skipped": source.skipped, "metrics": source.metrics}},
    parameters=[[name, list(shape)] for name, shape in zip(task.spec.names, task.spec.shapes)],
    metrics=sorted(source.metrics),
    runs=len(source.runs),
    checkpoints=source.checkpoints,
    group_size=group_size,
    versions={"lmdb": command.library("lmdb").__version__},
  )
  corpus = _opened(path, wanted)
  back = np.argsort(layout.release_index(task))
  per_epoch = steps_per_epoch or STEPS_PER_EPOCH.get(task.name)
  missing = [group for group in range(wanted.num_groups) if group not in corpus.manifest.groups_done]
  done = wanted.runs - sum(len(corpus.runs_of_group(group)) for group in missing)
  with progress.bar(total=wanted.runs, initial=done, desc="import", unit="run") as bar:
    for group in missing:
      began = time.monotonic()
      rows = corpus.runs_of_group(group)
      theta, values, step = _read(source, source.runs[rows.start : rows.stop], back, per_epoch)
      corpus.write_group(group, theta, values, step, time.monotonic() - began)
      bar.update(len(rows))
  return Imported(corpus, source.skipped, int(np.sum(~sound(corpus, SplitConfig.largest_weight))))


def _opened(path: Path, wanted: Manifest) -> Corpus:
  """The corpus to write into: new, or that of the same import."""
  if not exists(path):
    return Corpus.create(path, wanted)
  found = read_manifest(path)
  same = dataclasses.replace(wanted, groups_done=found.groups_done, seconds=found.seconds, versions=found.versions)
  if found != same:
    raise CorpusError(f"{path} holds another corpus: made here, of another dataset or under other settings")
  return Corpus.open(path, writable=True)


def _inspect(dataset: Path, task: Task, skip: bool, limit: int | None, names: Mapping[str, str]) -> _Source:
  """Looks at every run of a dataset, without reading its numbers."""
  sizes, forms, skipped = layout.release_sizes(task), {}, {}

  def bad(path: Path, run: str, reason: object) -> None:
    if not skip:
      raise UserError(f"{path}: run {run}: {reason}; --on-error=skip leaves such runs out")
    skipped[run] = str(reason)

  for path in progress.track(release_dataset.folders(dataset), desc="inspect", unit="folder"):
    for run, found in release_dataset.visit(path, lambda folder, run: folder.check(run, sizes)):
      if isinstance(found, BadRunError):
        bad(path, run, found)
      else:
        count, metrics = found
        forms[path, run] = count, tuple(sorted(ours for ours, theirs in names.items() if theirs in metrics))
    if limit is not None and len(forms) >= limit:
      break
  forms = dict(itertools.islice(forms.items(), limit))
  if not forms:
    run, reason = next(iter(skipped.items()))
    raise UserError(f"{dataset}: none of {len(skipped)} runs can be read; run {run}: {reason}")
  (count, metrics), _ = Counter(forms.values()).most_common(1)[0]
  for (path, run), form in list(forms.items()):
    if form != (count, metrics):
      del forms[path, run]
      bad(path, run, f"it has {_form(*form)}, where most have {_form(count, metrics)}")
  if not metrics:
    raise UserError(f"{dataset}: no metric of a known name; name them with --metrics=OURS=THEIRS,...")
  if len(forms) < 2 or count < 2:
    raise UserError(f"{dataset}: {len(forms)} runs of {count} checkpoints: two of both are the least")
  return _Source(list(forms), count, {ours: names[ours] for ours in metrics}, skipped)


def _form(count: int, metrics: Sequence[str]) -> str:
  return f"{count} checkpoints with {', '.join(metrics) or 'no known metric'}"


def _read(
  source: _Source, runs: Sequence[tuple[Path, str]], back: Int[np.ndarray, "parameter"], per_epoch: int | None
) -> tuple[
  Float[np.ndarray, "run checkpoint parameter"],
  dict[str, Float[np.ndarray, "run checkpoint"]],
  Int[np.ndarray, "run checkpoint"],
]:
  """The numbers of some runs, parameters in our order."""
  theta = np.empty((len(runs), source.checkpoints, len(back)), np.float32)
  values = {ours: np.empty(theta.shape[:2], np.float32) for ours in source.metrics}
  step = np.empty(theta.shape[:2], np.int32)
  row = 0

  def read(folder: Folder, run: str) -> RunTable:
    return folder.read(run, list(source.metrics.values()))

  for path, members in itertools.groupby(runs, key=lambda run: run[0]):
    for run, table in release_dataset.visit(path, read, [run for _, run in members]):
      if isinstance(table, BadRunError) or table.theta.shape != theta.shape[1:]:
        found = table if isinstance(table, BadRunError) else f"vectors {table.theta.shape}"
        raise UserError(f"{path}: run {run} is no longer as it was when the import began: {found}")
      theta[row], step[row] = table.theta[:, back], release_dataset.steps(table.keys, per_epoch)
      for ours, theirs in source.metrics.items():
        values[ours][row] = table.metrics[theirs]
      row += 1
  return theta, values, step


def export_corpus(corpus: Corpus, task: Task, out: str | Path, *, fuse: int = 1) -> int:
  """Writes a whole corpus as a dataset of the release, `fuse` runs a folder; returns the number of runs.

  Raises UserError where the corpus is unfinished or not of the task, or `out` exists.
  """
  out, manifest = Path(out), corpus.manifest
  if not manifest.complete:
    raise CorpusError(f"{corpus.path}: the corpus is unfinished")
  if manifest.parameters != [[name, list(shape)] for name, shape in zip(task.spec.names, task.spec.shapes)]:
    raise CorpusError(f"{corpus.path}: networks of {manifest.parameters}, not those of task {task.name!r}")
  if not 1 <= fuse <= 32:
    raise UserError(f"--fuse: {fuse} is not between 1 and 32")
  if out.exists():
    raise UserError(f"{out}: exists; an export makes a new folder")
  renamed = {name: (manifest.imported or {}).get("metrics", METRICS).get(name, name) for name in manifest.metrics}
  best = {theirs: max if _higher_is_better(task, ours) else min for ours, theirs in renamed.items()}
  sizes = layout.release_sizes(task)
  runs = _runs(corpus, task, renamed)
  partial = out.with_name(f".{out.name}.partial")  # what bears the name `out` is whole
  shutil.rmtree(partial, ignore_errors=True)
  with progress.bar(total=manifest.runs, desc="export", unit="run") as bar:
    while batch := dict(itertools.islice(runs, fuse)):
      release_dataset.write_folder(partial / "_".join(batch), batch, sizes, best)
      bar.update(len(batch))
  os.replace(partial, out)
  return manifest.runs


def _higher_is_better(task: Task, metric: str) -> bool:
  known = task.measurement.metrics
  return metric in known and known[metric].higher_is_better


def _runs(corpus: Corpus, task: Task, renamed: Mapping[str, str]) -> Iterator[tuple[str, RunTable]]:
  """Every run of a corpus under its name, a group in memory at once."""
  index = layout.release_index(task)
  for group in range(corpus.manifest.num_groups):
    rows = corpus.runs_of_group(group)
    part = slice(rows.start, rows.stop)
    theta, step = corpus.read(corpus.theta, part), corpus.read(corpus.step, part)
    values = {theirs: corpus.read(corpus.metrics[ours], part) for ours, theirs in renamed.items()}
    for i, run in enumerate(rows):
      name = f"{run:06d}"
      keys = tuple(f"{name}/it{s:07d}.pt" for s in step[i])
      yield name, RunTable(keys, theta[i][:, index], {theirs: value[i] for theirs, value in values.items()})


def _renames(text: str) -> dict[str, str]:
  try:
    return dict(pair.split("=") for pair in text.split(","))
  except ValueError:
    raise argparse.ArgumentTypeError(f"{text!r} is not OURS=THEIRS,...") from None


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
  parser = command.Parser(description=__doc__, prog="python -m g_pt.interop.lmdb_corpus")
  verbs = parser.add_subparsers(dest="verb", required=True, metavar="import|export")
  bring = verbs.add_parser("import", help="a dataset of the release -> WORKDIR/corpus")
  bring.add_argument("dataset", metavar="DIR", type=Path, help="folder of run folders")
  bring.add_argument("--task", required=True, help="of the networks")
  bring.add_argument("--on-error", default="stop", choices=("stop", "skip"), help="at a run that cannot be read")
  bring.add_argument("--runs", type=int, help="the most to import, the first ones; default: all")
  bring.add_argument("--group-size", type=int, default=CorpusConfig.group_size, help="runs in memory at once")
  bring.add_argument("--metrics", type=_renames, default={}, metavar="OURS=THEIRS,...", help="names of more metrics")
  bring.add_argument("--steps-per-epoch", type=int, help="of the runs; default: as published for the task")
  send = verbs.add_parser("export", help="WORKDIR/corpus -> a dataset of the release")
  send.add_argument("dataset", metavar="DIR", type=Path, help="folder to write")
  send.add_argument("--fuse", type=int, default=1, help="runs of one folder")
  for verb in (bring, send):
    verb.add_argument("--workdir", required=True, type=Path, help="folder of the experiment")
  return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
  given = _arguments(arguments)
  path = given.workdir / workdir.CORPUS
  if given.verb == "export":
    corpus = Corpus.open(path)
    count = export_corpus(corpus, command.task_named(corpus.manifest.task), given.dataset, fuse=given.fuse)
    print(f"{given.dataset}: {count} runs of {corpus.manifest.checkpoints} checkpoints")
    return
  imported = import_corpus(
    given.dataset,
    command.task_named(given.task),
    path,
    on_error=given.on_error,
    runs=given.runs,
    group_size=given.group_size,
    metrics=given.metrics,
    steps_per_epoch=given.steps_per_epoch,
  )
  for run, reason in imported.skipped.items():
    print(f"skipped run {run}: {reason}", file=sys.stderr)
  manifest = imported.corpus.manifest
  print(
    f"{path}: {manifest.runs} runs of {manifest.checkpoints} checkpoints with {', '.join(manifest.metrics)}; "
    f"{len(imported.skipped)} skipped, {imported.unsound} that training will drop (a number not finite or too large)"
  )


if __name__ == "__main__":
  command.run(main, "lmdb_corpus")
