"""Trained models in workdirs and releases: how one is written down, and opened again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import functools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree
import numpy as np

from g_pt import family_gpt, gpt, release, remote, tasks, workdir
from g_pt.checkpointing import Checkpoints, History
from g_pt.corpus.family_statistics import FamilyStatistics
from g_pt.corpus.split import Census
from g_pt.corpus.statistics import PromptRange, StartRange, Statistics
from g_pt.description import describe
from g_pt.errors import UserError
from g_pt.family_generator import FamilyGenerator
from g_pt.family_gpt import FamilyGPT
from g_pt.generator import Generator
from g_pt.parameters import Arrangement
from g_pt.parameters.units import UnitStatistics
from g_pt.tasks.graph import Graph

_PRETRAINED = Path(__file__).parent / "pretrained"


class Kept(NamedTuple):
  """A model as it lies on disk."""

  file: Path  # that holds `content`
  content: dict[str, Any]
  arrays: Callable[[], dict[str, np.ndarray]]  # of its corpus's statistics
  weights: Callable[[Generator | FamilyGenerator], PyTree]  # averaged


def pretrained() -> list[str]:
  """Names of the trained models that come with the package."""
  return sorted(file.parent.name for file in _PRETRAINED.glob(f"*/{release.MODEL}"))


def _place(name: str | Path) -> Path:
  """A folder: one that is there, of a release by its URL, or one of `pretrained` by its name; else UserError."""
  if Path(name).is_file():
    raise UserError(f"{name}: a file; give the folder of a workdir or a release")
  if Path(name).exists():
    return Path(name)
  if "://" in str(name):
    return remote.fetch(str(name))
  if str(name) not in pretrained():
    raise UserError(f"{name}: no such folder; models that come with the package: {', '.join(pretrained())}")
  return _PRETRAINED / name


def kept(directory: Path) -> Kept:
  """The model of a workdir or a release. Raises UserError, naming what is missing, where there is none."""
  if release.holds_one(directory):
    found = release.read(directory)
    weights = functools.partial(_nested, found.weights, directory / release.MODEL)
    return Kept(directory / release.CONFIG, found.content, lambda: found.statistics, weights)
  file = directory / workdir.TRAINED
  content = workdir.read_json(file)
  if content is None:
    raise UserError(f"{directory}: no trained G.pt here ({workdir.TRAINED} is missing); run --stage=train")
  arrays = functools.partial(workdir.read_arrays, directory / workdir.UNITS, "train")
  return Kept(file, content, arrays, functools.partial(_restored, directory))


def load(directory: str | Path, data_dir: str | None = None) -> gpt.GPT | FamilyGPT:
  """The trained G.pt of a release, or of a workdir with the averaged weights of its last checkpoint.

  A name without a folder is that of a model which comes with the package: `pretrained` lists them. A release may also
  be at a URL: hf://OWNER/NAME[@REVISION], gs://BUCKET/PREFIX or s3://BUCKET/PREFIX.
  Of a task that is a family of data sets it is a `FamilyGPT`, which is given one
  by its `on`. The task's data are looked for once something is measured: in
  `data_dir`, or where training found them. Raises UserError, naming what is
  missing, where there is no trained model.
  """
  found = kept(_place(directory))
  description = describe(found.content["config"])
  where = data_dir if data_dir is not None else found.content["config"].get("data_dir")
  if tasks.get(description.task).draw is not None:
    family = family_gpt.build(description, _family_statistics(found), where)
    return dataclasses.replace(family, weights=found.weights(family.generator))
  statistics, arrangement = _statistics(found)
  load_data = functools.partial(tasks.get(description.task).load, where)
  built = gpt.build(description, statistics, load_data, arrangement)
  return dataclasses.replace(built, weights=found.weights(built.generator))


def load_for_one_set(directory: str | Path, data_dir: str | None = None) -> gpt.GPT:
  """The same; UserError where the model is for many data sets."""
  found = load(directory, data_dir)
  if isinstance(found, FamilyGPT):
    raise UserError(f"{directory}: a G.pt of many data sets; in Python, g_pt.load(...).on(images, labels) is of one")
  return found


def training_seconds(directory: Path, steps: int) -> float:
  """How long a training of so many steps took; UserError where it is unfinished."""
  with Checkpoints(directory / workdir.CHECKPOINTS, read_only=True) as checkpoints:
    done, progress = checkpoints.latest or 0, checkpoints.progress() if checkpoints.latest else {"seconds": 0.0}
  if done < steps:
    raise UserError(f"{directory}: training is unfinished, step {done} of {steps}; run --stage=train")
  return progress["seconds"]


def history(directory: Path, generator: Generator | FamilyGenerator) -> Iterator[tuple[int, PyTree]]:
  """(training step, averaged weights at it) of the steps that training kept, rising; none for imported weights."""
  if not (directory / workdir.HISTORY).exists():
    return
  with History(directory / workdir.HISTORY, read_only=True) as stored:
    for step in stored.steps:
      yield step, _bound_to_no_device(stored.restore(step, _layout(generator)))


def flat(weights: PyTree) -> dict[str, Any]:
  """Weights by their path: params/block_0/qkv/kernel."""
  leaves = jax.tree_util.tree_leaves_with_path(weights)
  return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _nested(found: Mapping[str, np.ndarray], file: Path, generator: Generator | FamilyGenerator) -> PyTree:
  """The inverse of `flat`, in the precision that the model computes in; UserError where the model has other weights."""
  layout = jax.eval_shape(generator.init, jax.random.key(0))
  wanted = flat(layout)
  ours, theirs = ({name: tuple(x.shape) for name, x in arrays.items()} for arrays in (wanted, found))
  if lines := workdir.differences(ours, theirs):
    raise UserError(f"{file}: weights of another model: {lines[0]}")
  leaves = [jnp.asarray(found[name], x.dtype) for name, x in wanted.items()]
  return jax.tree.unflatten(jax.tree.structure(layout), leaves)


def _restored(directory: Path, generator: Generator | FamilyGenerator) -> PyTree:
  """Averaged weights of the last checkpoint."""
  with Checkpoints(directory / workdir.CHECKPOINTS, read_only=True) as checkpoints:
    return _bound_to_no_device(checkpoints.restore_average(_layout(generator)))


def _bound_to_no_device(weights: PyTree) -> PyTree:
  """Arrays like those that a program makes: of what is bound to a device every program would be compiled once more."""
  return jax.tree.map(jnp.asarray, jax.device_get(weights))


def _layout(generator: Generator | FamilyGenerator) -> PyTree:
  """Shapes of the weights, on the first local device."""
  here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  shapes = jax.eval_shape(generator.init, jax.random.key(0))
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), shapes)


def write_trained(
  directory: Path,
  values: dict[str, Any],
  statistics: Statistics,
  arrangement: Arrangement | None = None,
  imported: dict[str, Any] | None = None,
) -> None:
  """Writes down all of a model but its weights; `imported` says where those came from if they were not made here."""
  assert statistics.units is not None
  workdir.write_arrays(directory / workdir.UNITS, statistics.units.to_arrays())
  content = {
    "config": values,
    "prompt_range": statistics.prompt_range and statistics.prompt_range._asdict(),
    "census": statistics.census and statistics.census._asdict(),
    "start_range": statistics.start_range and statistics.start_range._asdict(),
    "arrangement": arrangement,
  }
  workdir.write_json(directory / workdir.TRAINED, content | ({"imported": imported} if imported else {}))


def read_statistics(directory: Path) -> tuple[Statistics, Arrangement | None]:
  """What `write_trained` wrote of the corpus, and the arrangement of imported weights."""
  return _statistics(kept(directory))


def _statistics(found: Kept) -> tuple[Statistics, Arrangement | None]:
  trained = found.content
  try:
    units = UnitStatistics.from_arrays(found.arrays())
    names = tasks.get(trained["config"]["task"]).spec.names
    if lost := [name for name in names if name not in units.start_std or name not in units.update_std]:
      raise KeyError(f"statistics of {lost[0]}")
    prompt_range, census = trained["prompt_range"], trained["census"]
    start_range = trained.get("start_range")
    statistics = Statistics(
      units,
      prompt_range and PromptRange(**prompt_range),
      census and Census(**census),
      start_range and StartRange(**start_range),
    )
    arrangement = trained["arrangement"]
  except (KeyError, TypeError) as error:
    raise UserError(f"{found.file}: not what this version writes ({error}); train it again") from None
  # Only weights that were made elsewhere have one; JSON knows no tuples.
  return statistics, arrangement and tuple((name, tuple(axes)) for name, axes in arrangement)


def write_family(directory: Path, values: dict[str, Any], statistics: FamilyStatistics) -> None:
  """`write_trained` of a model of many data sets."""
  scale = {name: np.asarray(value) for name, value in statistics.scale._asdict().items()}
  workdir.write_arrays(directory / workdir.UNITS, scale)
  ranges = {
    "prompt_ranges": {name: found._asdict() for name, found in statistics.prompt_ranges.items()},
    "start_ranges": {name: found._asdict() for name, found in statistics.start_ranges.items()},
  }
  names = list(statistics.prompt_ranges)
  content = {"config": values, "metrics": names, "census": statistics.census._asdict(), **ranges}
  workdir.write_json(directory / workdir.TRAINED, content)


def read_family_statistics(directory: Path) -> FamilyStatistics:
  """What `write_family` wrote of the corpus."""
  return _family_statistics(kept(directory))


def _family_statistics(found: Kept) -> FamilyStatistics:
  trained, scale = found.content, found.arrays()
  try:
    return FamilyStatistics(
      Graph(**{name: jnp.asarray(value) for name, value in scale.items()}),
      {name: PromptRange(**trained["prompt_ranges"][name]) for name in trained["metrics"]},
      {name: StartRange(**trained["start_ranges"][name]) for name in trained["metrics"]},
      Census(**trained["census"]),
    )
  except (KeyError, TypeError) as error:
    raise UserError(f"{found.file}: not what this version writes ({error}); train it again") from None
