"""The curves of optimizers as files beside a corpus: made once, whichever G.pt they are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
import functools
import io
import json
from pathlib import Path
from typing import Any
import zipfile

import jax
import numpy as np

from g_pt import progress, workdir
from g_pt.corpus.generate import side_by_side
from g_pt.errors import ConfigError, UserError
from g_pt.optimizers.baselines import CHOOSING_GROUPS, Baseline, OptimizersConfig, initial_networks, measured, runner_of
from g_pt.optimizers.curves import Curves
from g_pt.tasks.base import Data, Task


def load_or_run(
  task: Task, recipe: Any, data: Data, settings: OptimizersConfig, seed: int, folder: str | Path
) -> dict[str, Baseline]:
  """By name each optimizer that the settings ask for: read from its own file in `folder`, or made and kept there.

  Raises UserError where a file was made under other settings, naming the
  fields, and where an optimizer diverges at every learning rate.
  """
  names = task.training.optimizers if settings.optimizers is None else settings.optimizers
  unknown = [name for name in names if name not in task.training.optimizers]
  if unknown:
    known = ", ".join(task.training.optimizers)
    raise ConfigError(f"optimizers: unknown {unknown[0]!r}; those of {task.name!r} are: {known}")
  under = _made_under(task, recipe, settings, seed)
  paths = {name: Path(folder) / f"{name}.npz" for name in names}
  found = {name: read(path, under) for name, path in paths.items() if path.exists()}
  missing = [name for name in names if name not in found]
  if missing:
    with progress.bar(len(names), initial=len(found), desc="optimizers", unit="optimizer") as shown:
      for name, baseline in _measured(task, recipe, data, settings, seed, missing, shown):
        workdir.write_bytes(paths[name], to_bytes(baseline, under))
        found[name] = baseline
        shown.update()
  return {name: found[name] for name in names}


def _made_under(task: Task, recipe: Any, settings: OptimizersConfig, seed: int) -> dict[str, Any]:
  """What a file's curves depend on, but for its optimizer."""
  own, how = dataclasses.asdict(recipe), dataclasses.asdict(settings)
  del own["optimizer"], how["optimizers"]
  made_under = {"task": task.name, "seed": seed, "recipe": own, "optimizers": how, "choosing_groups": CHOOSING_GROUPS}
  return json.loads(json.dumps(made_under))


def to_bytes(baseline: Baseline, made_under: dict[str, Any]) -> bytes:
  """A file of one optimizer."""
  arrays: dict[str, Any] = {"best": baseline.best, "edge": baseline.edge, "made_under": json.dumps(made_under)}
  for name in ("tuning", "choosing", "fresh"):
    own = getattr(baseline, name)
    arrays |= {f"{name}.{field}": getattr(own, field) for field in ("learning_rate", "decay", "step")}
    arrays |= {f"{name}.{part}.{metric}": x for part, of in own.numbers.items() for metric, x in of.items()}
  buffer = io.BytesIO()
  np.savez(buffer, **arrays)
  return buffer.getvalue()


def read(path: Path, made_under: dict[str, Any]) -> Baseline:
  """The optimizer of a file; UserError where it is no such file, or was made under other settings."""
  try:
    with path.open("rb") as file, np.load(file) as stored:
      arrays = dict(stored)
    lines = workdir.differences(made_under, json.loads(str(arrays.pop("made_under"))))
  except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
    raise UserError(f"{path}: not curves of an optimizer; without the file they are made anew") from None
  if lines:
    raise UserError(f"{path} holds curves made under other settings: {'; '.join(lines)}; without it they are made anew")

  def curves_of(name):
    own = {key.removeprefix(f"{name}."): value for key, value in arrays.items() if key.startswith(f"{name}.")}
    rate, decay, step = (own.pop(field) for field in ("learning_rate", "decay", "step"))
    numbers: dict[str, dict[str, np.ndarray]] = {}
    for key, value in own.items():
      part, metric = key.split(".")
      numbers.setdefault(part, {})[metric] = value
    return Curves(rate, decay, step, numbers)

  tuning, choosing, fresh = (curves_of(name) for name in ("tuning", "choosing", "fresh"))
  return Baseline(tuning, arrays["best"], choosing, fresh, bool(arrays["edge"]))


def _measured(
  task: Task, recipe: Any, data: Data, settings: OptimizersConfig, seed: int, names: Sequence[str], shown: Any
) -> Iterator[tuple[str, Baseline]]:
  """Each optimizer in turn, while the next one's program is compiled beside it."""
  networks = initial_networks(task, seed, settings)
  compile_one = functools.partial(runner_of, task, recipe, jax.device_put(data), settings)
  for name, runner in zip(names, side_by_side(compile_one, names, 2)):
    yield name, measured(task, runner, networks, seed, lambda: shown.update(0))
