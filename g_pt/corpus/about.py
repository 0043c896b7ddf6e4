"""What is told of a published corpus, by its card and by its metadata for machines."""

from __future__ import annotations

from collections.abc import Mapping
import math
import shlex
from typing import Any, NamedTuple

import numpy as np

from g_pt import tasks, words
from g_pt.corpus.manifest import Manifest
from g_pt.corpus.split import SplitConfig
from g_pt.corpus.table import REJECTED
from g_pt.tasks.base import Task

LICENCE, LICENCE_URL = "apache-2.0", "https://spdx.org/licenses/Apache-2.0"
LICENCE_TERMS = "Apache-2.0, of the weights and of the numbers beside them."
PAPER = "https://arxiv.org/abs/2209.12892"
BIASES = (
  "Checkpoints of a run are alike, and so are runs of a group; count runs or groups, not checkpoints, where "
  "independence matters. What is one-sided in the task's data is so in the networks."
)
QUANTILES = {"lowest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "highest": 1.0}


class About(NamedTuple):
  """Of one published corpus."""

  name: str  # of its folder
  manifest: Manifest
  config: SplitConfig
  split: Mapping[str, int]  # runs of each of table.SPLITS, and REJECTED
  ends: Mapping[str, list[float]]  # of each metric, QUANTILES over the sound runs' last checkpoints
  flags: str  # of `main.py`, which make it and train on it; empty: it was made elsewhere
  further: Mapping[str, Manifest]  # by folder: corpora of other numbers of classes, inside this one


def index(manifest: Manifest) -> dict[str, Any]:
  """Where each parameter array lies in the flat vector, as a file tells it."""
  entries, offset = [], 0
  for name, shape in manifest.parameters:
    entries.append({"name": name, "shape": shape, "offset": offset, "size": math.prod(shape)})
    offset += math.prod(shape)
  return {"parameters": entries, "size": offset, "dtype": "float32", "order": "C"}


def flags_of(manifest: Manifest, config: SplitConfig) -> str:
  """Those that make a corpus again by its manifest alone, on an experiment of its kind."""
  if manifest.imported is not None:
    return ""
  settings = dict(manifest.settings)
  top = {"task": manifest.task, "seed": settings.pop("seed")}
  recipe = {f"corpus.recipe.{name}": value for name, value in settings.pop("recipe").items()}
  settings.pop("cut", None)
  corpus = {f"corpus.{name}": value for name, value in (settings | split_settings(config)).items()}
  fields = {name: value for name, value in (top | corpus | recipe).items() if value is not None}
  return shlex.join(["--config=EXPERIMENT", *(f"--config.{name}={value}" for name, value in fields.items())])


def split_settings(config: SplitConfig) -> dict[str, int | float]:
  """Fields that split a corpus so, without `largest_weight` where it is as ever."""
  found: dict[str, int | float] = {"validation_runs": config.validation_runs, "test_runs": config.test_runs}
  usual = config.largest_weight == SplitConfig().largest_weight
  return found if usual else found | {"largest_weight": config.largest_weight}


def task_of(manifest: Manifest) -> Task | None:
  """None: this version knows no such task."""
  try:
    return tasks.get(manifest.task)
  except ValueError:
    return None


def label(manifest: Manifest, metric: str) -> str:
  """A metric with its unit, as far as that is known."""
  task = task_of(manifest)
  known = task.measurement.metrics if task else {}
  twin = metric.replace("train_", "test_")  # recorded on training data, too
  found = known[twin].label if twin in known else metric.replace("_", " ")
  return found.replace("test", "train", 1) if metric.startswith("train_") else found


def summary(about: About) -> str:
  """What it is, in two or three sentences."""
  manifest = about.manifest
  size = index(manifest)["size"]
  metrics = ", ".join(label(manifest, name) for name in manifest.metrics)
  text = (
    f"Checkpoints of {words.plural(manifest.runs, 'training run')} of networks of one architecture ({size:,} "
    f"parameters, task {manifest.task}), {manifest.checkpoints} of each run, from its initial to its last parameters: "
    f"{manifest.runs * manifest.checkpoints:,} networks. Of each is recorded: {metrics}."
  )
  return f"{text} {of_cut(manifest)}".rstrip()


def of_cut(manifest: Manifest) -> str:
  """What it was cut from; empty where it is whole."""
  if manifest.cut is None:
    return ""
  parts = ", ".join(f"{start} to {stop - 1}" for start, stop in manifest.cut["parts"])
  return (
    f"It was cut from a corpus of {manifest.cut['runs']:,} runs, of which it has the runs {parts}; each is for "
    "training, validation or test as it was there."
  )


def made(manifest: Manifest) -> str:
  """How runs came about."""
  if manifest.imported is not None:
    return f"The runs were imported from the checkpoint dataset {manifest.imported['source']} of the public release."
  settings, task = manifest.settings, task_of(manifest)
  shared = "the order of their minibatches"
  if task is not None and task.draw is not None:
    shared += " and a data set of their own"
  spaced = "at random steps" if settings["save_points"] == "uniform" else "evenly in the logarithm of the step"
  size = (manifest.cut or {"group_size": manifest.group_size})["group_size"]
  return (
    f"Each run starts at random parameters of its own and follows one recipe. Groups of {words.plural(size, 'run')} "
    f"share {shared}. Checkpoints are kept {spaced}, the initial and the last parameters among them. The seed is "
    f"{settings['seed']}; libraries: {', '.join(f'{name} {value}' for name, value in manifest.versions.items())}."
  )


def limits(about: About) -> list[str]:
  """What it does not say, a sentence or two each."""
  found = [
    "Networks are of one architecture and one recipe: nothing is said of others.",
    "Metrics on test data are of the recorded part of these alone; the other part is held out, and no number here "
    "has seen it.",
    "The data that networks were trained on are not here, and have terms of their own.",
    "Runs with a number that is not finite, or a weight above "
    f"{about.config.largest_weight:g} in magnitude, are kept, but in no split: {about.split[REJECTED]:,} of "
    f"{about.manifest.runs:,}.",
  ]
  if about.manifest.imported is None:
    found.append("Another processor gives the same recipe and seed slightly other numbers.")
  return found


def splits(manifest: Manifest) -> str:
  """Which runs are for what."""
  whole = "" if manifest.imported else ", in whole groups"
  return f"Runs are split, not checkpoints{whole}: the last ones are for test, those before for validation."


def ends(numbers: np.ndarray) -> list[float]:
  """QUANTILES of the metric at the ends of runs."""
  return [float(value) for value in np.quantile(numbers.astype(np.float64), list(QUANTILES.values()))]
