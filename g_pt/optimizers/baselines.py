"""Hand-made optimizers at their best, whichever G.pt they are compared with: run once, kept beside the corpus.

What counts is how soon an optimizer reaches a level of a metric; which level a
G.pt reaches is not known here. So each optimizer is tuned for a range of levels,
on networks of its own, over learning rates and over how soon a cosine takes them
to 0. The combinations that are best for some level then train the fresh
networks, those that a G.pt updates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import functools
import io
import json
import math
from pathlib import Path
from typing import Any, NamedTuple
import zipfile

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

from g_pt import bootstrap, keys, progress, workdir
from g_pt.corpus.generate import side_by_side
from g_pt.errors import ConfigError, UserError
from g_pt.fields import Settings, limited
from g_pt.optimizers import curves, trials
from g_pt.optimizers.curves import Curves
from g_pt.tasks.base import Data, Task

WIDENINGS = 6  # of a grid whose best learning rate is at an edge
# Middle learning rates of the grids that tuning begins with; of another optimizer the recipe's own.
CENTRES = {"sgd": 0.3, "momentum": 0.1, "nesterov": 0.1, "adamw": 0.01, "adam": 0.003, "rmsprop": 0.003}


@dataclasses.dataclass(frozen=True)
class OptimizersConfig(Settings):
  """How much is run."""

  networks: int = limited(64, least=2)  # fresh ones, those that a G.pt updates
  # Others, by which learning rates and decays are chosen; a group of runs is as large.
  tuning_networks: int = limited(16, least=1)
  points: int = limited(50, least=2)  # of a curve, evenly spaced in log(step)
  optimizers: tuple[str, ...] | None = None  # None: all of the task's


class Baseline(NamedTuple):
  """One optimizer."""

  tuning: Curves  # of the tuning networks by every combination tried
  best: Int[np.ndarray, "best"]  # those of the combinations that are the first to reach some level of some metric
  fresh: Curves  # of the fresh networks by these
  edge: bool  # whether a best learning rate is at an edge of the grid, however often that was widened


def fresh_networks(task: Task, seed: int, count: int) -> Float[Array, "net parameter"]:
  """Initial networks that final numbers are of: no corpus and no choice has seen them."""
  return _initial(task, [keys.stream(seed, "evaluate", "fresh", number) for number in range(count)])


def tuning_networks(task: Task, seed: int, count: int) -> Float[Array, "net parameter"]:
  """Initial networks that optimizers are tuned on."""
  return _initial(task, [keys.stream(seed, "evaluate", "tuning", number) for number in range(count)])


def _initial(task: Task, of_each: Sequence[Array]) -> Float[Array, "net parameter"]:
  """A network a key. One after another, as batched decompositions may hang on a CPU; compiled once, however many."""
  init = _initializer(task)
  return jnp.stack([init(key) for key in of_each])


@functools.cache
def _initializer(task: Task) -> Callable[[Array], Float[Array, "parameter"]]:
  return jax.jit(lambda key: task.spec.flatten(task.network.init(key)))


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
  return json.loads(json.dumps({"task": task.name, "seed": seed, "recipe": own, "optimizers": how}))


def to_bytes(baseline: Baseline, made_under: dict[str, Any]) -> bytes:
  """A file of one optimizer."""
  arrays: dict[str, Any] = {"best": baseline.best, "edge": baseline.edge, "made_under": json.dumps(made_under)}
  for name in ("tuning", "fresh"):
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
    raise UserError(f"{path} holds curves made under other settings: {'; '.join(lines)}")

  def curves_of(name):
    own = {key.removeprefix(f"{name}."): value for key, value in arrays.items() if key.startswith(f"{name}.")}
    rate, decay, step = (own.pop(field) for field in ("learning_rate", "decay", "step"))
    numbers: dict[str, dict[str, np.ndarray]] = {}
    for key, value in own.items():
      part, metric = key.split(".")
      numbers.setdefault(part, {})[metric] = value
    return Curves(rate, decay, step, numbers)

  return Baseline(curves_of("tuning"), arrays["best"], curves_of("fresh"), bool(arrays["edge"]))


def best_combinations(task: Task, tuning: Curves) -> Int[np.ndarray, "best"]:
  """The first to reach each level of the task's metrics; one that diverges anywhere is not among them."""
  means = {name: tuning.mean("recorded", name) for name in task.measurement.metrics}
  sound = np.flatnonzero(np.all([np.isfinite(mean).all(axis=1) for mean in means.values()], axis=0))
  if not len(sound):
    return sound
  crossings = []
  for name, mean in means.items():
    metric = task.metric(name)
    for level in curves.levels(metric, mean[sound]):
      wanted = np.full(len(sound), level)
      crossings.append(curves.crossing(tuning.step[sound], mean[sound], wanted, metric.higher_is_better))
  return sound[curves.fewest_best(np.stack(crossings))]


def tune(task: Task, run: Callable[[list[tuple[float, float]]], Curves], centre: int) -> tuple[Curves, bool]:
  """(curves of all combinations tried, whether a best learning rate is at an edge of the grid even so).

  The grid has three rates at first, those around index `centre`. It is widened
  by one rate at an edge that a best one is at; where all diverge, downwards.
  """

  def of(grid):
    return run([(curves.grid_rate(index), decay) for decay in curves.DECAYS for index in grid])

  low, high = centre - 1, centre + 1
  tuning = of([low, centre, high])
  for widening in range(WIDENINGS + 1):
    best = tuning.learning_rate[best_combinations(task, tuning)]
    beyond = [low - 1] if not len(best) or curves.grid_rate(low) in best else []
    beyond += [high + 1] if curves.grid_rate(high) in best else []
    if not beyond or widening == WIDENINGS:
      break
    low, high = min(low, *beyond), max(high, *beyond)
    tuning = jax.tree.map(lambda *x: np.concatenate(x), tuning, of(beyond))
  return tuning, bool(beyond)


def runner_of(task: Task, recipe: Any, data: Data, settings: OptimizersConfig, name: str) -> trials.Runner:
  """What runs one optimizer's trials; `data` should be on the device."""
  own = dataclasses.replace(recipe, optimizer=name)
  return trials.Runner(task, own, data, settings.tuning_networks, settings.points, _measure(task))


@functools.cache
def _measure(task: Task) -> Callable[..., Any]:
  """Compiled once, whichever optimizer it is for."""
  return jax.jit(functools.partial(trials.measure, task))


def measured(
  task: Task,
  runner: trials.Runner,
  tuning_theta: Float[Array, "tuning parameter"],
  fresh_theta: Float[Array, "net parameter"],
  seed: int,
  done: Callable[[], Any] = lambda: None,
) -> Baseline:
  """An optimizer tuned on some networks, training others, wherever they start; calls `done` after each group of runs.

  Raises UserError where it diverges at every learning rate.
  """
  tuning_key, fresh_key = (keys.stream(seed, "evaluate", "optimizers", of) for of in ("tuning", "fresh"))
  run = functools.partial(trials.run, runner, done=done)
  of_tuning = functools.partial(run, networks=tuning_theta, key=tuning_key, parts=("recorded",))
  name = runner.recipe.optimizer
  centre = CENTRES[name] if name in CENTRES else runner.recipe.learning_rate
  tuning, edge = tune(task, of_tuning, curves.grid_index(centre))
  best = best_combinations(task, tuning)
  if not len(best):
    raise UserError(f"optimizer {name!r} diverges at every learning rate down to {tuning.learning_rate.min()}")
  combinations = list(zip(tuning.learning_rate[best], tuning.decay[best]))
  return Baseline(tuning, best, run(combinations, fresh_theta, fresh_key, trials.PARTS), edge)


def _measured(
  task: Task, recipe: Any, data: Data, settings: OptimizersConfig, seed: int, names: Sequence[str], shown: Any
) -> Iterator[tuple[str, Baseline]]:
  """Each optimizer in turn, while the next one's program is compiled beside it."""
  tuning_theta = tuning_networks(task, seed, settings.tuning_networks)
  fresh_theta = fresh_networks(task, seed, settings.networks)
  compile_one = functools.partial(runner_of, task, recipe, jax.device_put(data), settings)
  for name, runner in zip(names, side_by_side(compile_one, names, 2)):
    yield name, measured(task, runner, tuning_theta, fresh_theta, seed, lambda: shown.update(0))


def choose(task: Task, baseline: Baseline, metric: str, level: float) -> int:
  """Which of the fresh networks' curves is compared: that of the combination to expect at the level first.

  Expected are the steps of the tuning networks, resampled: a combination whose
  mean only just gets there, and with other networks might never, counts its
  whole run where it does not. Where none ever gets there it is the best one.
  """
  tuning, higher = baseline.tuning, task.metric(metric).higher_is_better
  own, step = tuning.numbers["recorded"][metric][baseline.best].astype(np.float64), tuning.step[baseline.best]
  drawn = bootstrap.resamples(own.shape[1])

  def expected(values, step):
    # The mean of each resample by one matrix product: how often a network is in it, times its curve.
    shares = np.stack([np.bincount(row, minlength=len(values)) for row in drawn]) / len(values)
    reached = curves.crossing(step, shares @ values, np.full(len(drawn), level), higher)
    return np.where(np.isnan(reached), tuning.step.max(), reached).mean() if np.isfinite(reached).any() else np.inf

  steps = [expected(values, at) for values, at in zip(own, step)]
  if np.isfinite(steps).any():
    return int(np.argmin(steps))
  return int(np.argmax(task.metric(metric).gain(own.mean(axis=1)).max(axis=1)))


def steps_to_match(
  task: Task, baseline: Baseline, choice: int, metric: str, part: str, achieved: Float[np.ndarray, "net"]
) -> dict[str, Any]:
  """When the mean of a curve is as good as the mean that G.pt `achieved` with the same networks, and whose curve it is.

  Steps are None where it never is. Their interval is over networks, which both
  sides resample together. `achieved` may be of the first networks alone;
  ValueError where it is of more than there are curves of.
  """
  fresh, higher = baseline.fresh, task.metric(metric).higher_is_better
  own, step = fresh.numbers[part][metric][choice].astype(np.float64), fresh.step[choice]
  if len(achieved) > len(own):
    raise ValueError(f"{len(achieved)} networks are compared with curves of {len(own)}")
  own, achieved = own[: len(achieved)], achieved.astype(np.float64)

  def steps(drawn):
    return curves.crossing(step, np.stack([own[row].mean(axis=0) for row in drawn]), achieved[drawn].mean(1), higher)

  mean, decay = own.mean(axis=0), float(fresh.decay[choice])
  matched = float(curves.crossing(step, mean, achieved.mean(), higher))
  return {
    "steps": None if math.isnan(matched) else matched,
    "interval": bootstrap.interval(steps, len(achieved)),
    "learning_rate": float(fresh.learning_rate[choice]),
    "decay": None if math.isinf(decay) else decay,
    "best_mean": float(np.nanmax(mean) if higher else np.nanmin(mean)),
    "first_step": _after_one_step(step, mean),
  }


def _after_one_step(step: Int[np.ndarray, "point"], mean: Float[np.ndarray, "point"]) -> float | None:
  """The mean at step 1; None where a curve has no such point, or diverges there."""
  first = mean[step == 1]
  return float(first[0]) if len(first) and np.isfinite(first[0]) else None
