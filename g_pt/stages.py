"""The stages of an experiment: corpus -> train -> evaluate -> report, each from files to files in the workdir.

Every stage can be run alone, killed and run again. What it reads must have
been made under the settings it is given; the fields that differ are named.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import io
from pathlib import Path
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from g_pt import sample, sharding, tasks, workdir
from g_pt.checkpointing import Checkpoints
from g_pt.config import Experiment, completed
from g_pt.corpus.generate import generate, manifest_of, open_matching
from g_pt.corpus.pairs import pair_source
from g_pt.corpus.prepare import Prepared, prepare
from g_pt.corpus.store import Corpus
from g_pt.errors import UserError
from g_pt.evaluation.alignment import measure_alignment
from g_pt.evaluation.run import evaluate as run_evaluations
from g_pt.report import page
from g_pt.tasks.base import Task
from g_pt.train import train as run_training


def corpus(experiment: Experiment, directory: Path) -> None:
  """Trains the small networks whose checkpoints are the data."""
  task = tasks.get(experiment.task)
  data = task.load(experiment.data_dir)
  generate(task, experiment.recipe, experiment.corpus, experiment.seed, data, _corpus_path(experiment, directory))


def train(experiment: Experiment, directory: Path) -> None:
  """Trains G.pt on the corpus."""
  task, opened, prepared = _prepared(experiment, directory)
  del opened
  if (directory / workdir.TRAINED).exists():
    _refuse_other_settings(directory / workdir.TRAINED, experiment)
    if "imported" in workdir.read_json(directory / workdir.TRAINED):
      print(f"{directory}: its weights were imported; there is nothing to train")
      return
  content = {"config": experiment.values, "statistics": prepared.statistics._asdict()}
  workdir.write_json(directory / workdir.TRAINED, content)
  source = pair_source(prepared.train, task.metric(experiment.metric), experiment.train.pairs)
  gpt = sample.load(directory, weights=False)
  unseen = jnp.asarray(prepared.test.theta[:_PROBED, 0]), jnp.asarray(prepared.test.metric[:_PROBED, 0])

  def probe(weights) -> dict[str, float]:
    measured = measure_alignment(gpt.with_weights(weights), *unseen, experiment.evaluate.prompts, jax.random.key(0))
    return {"prompt_alignment": measured.score}

  mesh = sharding.make_mesh(experiment.mesh)
  # Only where the loss looks at it does it go to the devices.
  data = task.load(experiment.data_dir) if experiment.diffusion.behaviour else None
  run_training(gpt.generator, source, experiment.train, mesh, experiment.seed, directory, probe, data)


def evaluate(experiment: Experiment, directory: Path) -> dict[str, Any]:
  """Measures the trained G.pt; returns the summary."""
  task, opened, prepared = _prepared(experiment, directory)
  _refuse_other_settings(directory / workdir.TRAINED, experiment)
  with Checkpoints(directory / workdir.CHECKPOINTS, read_only=True) as checkpoints:
    done, trained = checkpoints.latest or 0, checkpoints.progress() if checkpoints.latest else {"seconds": 0.0}
  if done < experiment.train.steps:
    raise UserError(f"{directory}: training is unfinished, step {done} of {experiment.train.steps}; run --stage=train")
  began = time.monotonic()
  gpt = dataclasses.replace(sample.load(directory), config=experiment.sample)
  step, data = opened.read(opened.step, 0), task.load(experiment.data_dir)
  summary, arrays = run_evaluations(gpt, prepared, step, experiment.recipe, data, experiment.evaluate, experiment.seed)
  summary["seconds"] = {
    "corpus": round(opened.manifest.seconds, 1),
    "train": round(trained["seconds"], 1),
    "evaluate": round(time.monotonic() - began, 1),
  }
  buffer = io.BytesIO()
  np.savez_compressed(buffer, **arrays)
  workdir.write_bytes(directory / workdir.ARRAYS, buffer.getvalue())
  workdir.write_json(directory / workdir.EVALUATED, {"config": experiment.values})
  workdir.write_json(directory / workdir.SUMMARY, summary)
  return summary


def report(experiment: Experiment, directory: Path) -> None:
  """Writes one HTML page from what `evaluate` left."""
  summary = workdir.read_json(directory / workdir.SUMMARY)
  if summary is None:
    raise UserError(f"{directory}: not evaluated yet ({workdir.SUMMARY} is missing); run --stage=evaluate")
  _refuse_other_settings(directory / workdir.EVALUATED, experiment)
  began = time.monotonic()
  command = directory / workdir.COMMAND
  page.write(directory, experiment, command.read_text().strip() if command.exists() else None)
  summary["seconds"]["report"] = round(time.monotonic() - began, 1)
  workdir.write_json(directory / workdir.SUMMARY, summary)


STAGES: dict[str, Callable[[Experiment, Path], Any]] = {
  "corpus": corpus,
  "train": train,
  "evaluate": evaluate,
  "report": report,
}


def run(experiment: Experiment, directory: Path, stage: str, command: str | None = None) -> None:
  """Runs one stage, or with `all` each in turn, and prints the summary after those that make or show it.

  `command` is the command line that asked for it, for the report to show.
  """
  if stage != "all" and stage not in STAGES:
    raise UserError(f"--stage: unknown {stage!r}; it is one of: {', '.join(STAGES)}, all")
  try:
    directory.mkdir(parents=True, exist_ok=True)
    workdir.write_json(directory / workdir.CONFIG, experiment.values)
    if command:
      workdir.write_bytes(directory / workdir.COMMAND, f"{command}\n".encode())
  except OSError as error:
    raise UserError(f"--workdir: cannot write to {directory}: {error.strerror}") from None
  for name in STAGES if stage == "all" else [stage]:
    STAGES[name](experiment, directory)
  if stage in ("all", "evaluate", "report"):
    print(page.summary_text(workdir.read_json(directory / workdir.SUMMARY)))
  if stage in ("all", "report"):
    print(f"report: {directory / workdir.REPORT}")


# Held-out networks whose alignment is measured while training goes on.
_PROBED = 24
# Settings that imported weights depend on.
_OF_WEIGHTS = ("task", "metric", "model", "diffusion")


def _corpus_path(experiment: Experiment, directory: Path) -> Path:
  return Path(experiment.corpus_path) if experiment.corpus_path else directory / workdir.CORPUS


def _prepared(experiment: Experiment, directory: Path) -> tuple[Task, Corpus, Prepared]:
  """The task, and its corpus open and in memory; UserError where that was made under other settings."""
  task = tasks.get(experiment.task)
  wanted = manifest_of(task, experiment.recipe, experiment.corpus, experiment.seed, task.load(experiment.data_dir))
  opened = open_matching(_corpus_path(experiment, directory), wanted)
  return task, opened, prepare(
    opened, task.spec, experiment.metric, experiment.prepare, experiment.diffusion.directions
  )


def _training_settings(values: dict[str, Any]) -> dict[str, Any]:
  """What a trained model depends on: all but where things are and how they are looked at."""
  left_out = {"corpus": ("path",), "train": ("log_every", "checkpoint_every", "probe_every")}
  kept = {name: values[name] for name in ("task", "metric", "seed", "corpus", "model", "diffusion", "train")}
  for name, fields in left_out.items():
    kept[name] = {field: value for field, value in kept[name].items() if field not in fields}
  return kept


def _refuse_other_settings(file: Path, experiment: Experiment) -> None:
  """UserError, naming the fields that differ, where `file` was written under other settings."""
  found = workdir.read_json(file)
  if found is None:
    raise UserError(f"{file}: missing; run the stages before this one")
  wanted, made = _training_settings(experiment.values), _training_settings(completed(found["config"]))
  if "imported" in found:  # trained elsewhere, on another corpus
    wanted, made = ({name: values[name] for name in _OF_WEIGHTS} for values in (wanted, made))
  lines = workdir.differences(wanted, made)
  if lines:
    raise UserError(f"{file.parent} was made under other settings: {'; '.join(lines)}; choose another --workdir")
