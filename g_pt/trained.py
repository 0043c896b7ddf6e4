"""Trained models in workdirs: how one is written down, and opened again."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from g_pt import gpt, tasks, workdir
from g_pt.checkpointing import Checkpoints, History
from g_pt.corpus.split import Census
from g_pt.corpus.statistics import PromptRange, StartRange, Statistics
from g_pt.description import describe
from g_pt.errors import UserError
from g_pt.generator import Generator
from g_pt.parameters import Arrangement
from g_pt.parameters.units import UnitStatistics


def load(directory: str | Path, data_dir: str | None = None) -> gpt.GPT:
  """The trained G.pt of a workdir, with the averaged weights of its last checkpoint.

  The task's data are looked for once something is measured: in `data_dir`, or
  where training found them. Raises UserError, naming what is missing, where
  there is no trained model.
  """
  directory = Path(directory)
  trained = workdir.read_json(directory / workdir.TRAINED)
  if trained is None:
    raise UserError(f"{directory}: no trained G.pt here ({workdir.TRAINED} is missing); run --stage=train")
  statistics, arrangement = read_statistics(directory)
  description = describe(trained["config"])
  where = data_dir if data_dir is not None else trained["config"].get("data_dir")
  load_data = functools.partial(tasks.get(description.task).load, where)
  built = gpt.build(description, statistics, load_data, arrangement)
  return dataclasses.replace(built, weights=_restored(built.generator, directory))


def history(directory: Path, generator: Generator) -> Iterator[tuple[int, PyTree]]:
  """(training step, averaged weights at it) of the steps that training kept, rising; none for imported weights."""
  if not (directory / workdir.HISTORY).exists():
    return
  with History(directory / workdir.HISTORY, read_only=True) as kept:
    for step in kept.steps:
      yield step, _bound_to_no_device(kept.restore(step, _layout(generator)))


def _restored(generator: Generator, directory: Path) -> PyTree:
  """Averaged weights of the last checkpoint."""
  with Checkpoints(directory / workdir.CHECKPOINTS, read_only=True) as checkpoints:
    return _bound_to_no_device(checkpoints.restore_average(_layout(generator)))


def _bound_to_no_device(weights: PyTree) -> PyTree:
  """Arrays like those that a program makes: of what is bound to a device every program would be compiled once more."""
  return jax.tree.map(jnp.asarray, jax.device_get(weights))


def _layout(generator: Generator) -> PyTree:
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
  trained = workdir.read_json(directory / workdir.TRAINED)
  units = UnitStatistics.from_arrays(workdir.read_arrays(directory / workdir.UNITS, "train"))
  try:
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
    raise UserError(f"{directory / workdir.TRAINED}: not what this version writes ({error}); train it again") from None
  # Only weights that were made elsewhere have one; JSON knows no tuples.
  return statistics, arrangement and tuple((name, tuple(axes)) for name, axes in arrangement)
