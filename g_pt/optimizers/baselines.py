"""Hand-made optimizers at their best, whichever G.pt they are compared with: run once, kept beside the corpus.

What counts is how soon an optimizer reaches a level of a metric; which level a
G.pt reaches is not known here. So each optimizer is tuned for a range of levels,
on networks of its own, over learning rates and over how soon a cosine takes them
to 0. The combinations that are best for some level then train the fresh
networks, those that a G.pt updates, and others, by which one of them is chosen:
runs of a group share their minibatches, and one group tells too little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

from g_pt import bootstrap, keys
from g_pt.errors import UserError
from g_pt.fields import Settings, limited
from g_pt.optimizers import curves, trials
from g_pt.optimizers.curves import Curves
from g_pt.tasks.base import SHARED_PARTS, Data, Task

CHOOSING_GROUPS = 3  # of runs, by which one of the best combinations is chosen
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


class Networks(NamedTuple):
  """What an optimizer begins from; no two of them are of one stream."""

  tuning: Float[Array, "tuning parameter"]
  choosing: Float[Array, "choosing parameter"]
  fresh: Float[Array, "net parameter"]


class Baseline(NamedTuple):
  """One optimizer."""

  tuning: Curves  # of the tuning networks by every combination tried
  best: Int[np.ndarray, "best"]  # those of the combinations that are the first to reach some level of some metric
  choosing: Curves  # of other networks by these
  fresh: Curves  # of the fresh networks by these
  edge: bool  # whether a best learning rate is at an edge of the grid, however often that was widened


def fresh_networks(task: Task, seed: int, count: int) -> Float[Array, "net parameter"]:
  """Initial networks that final numbers are of: no corpus and no choice has seen them."""
  return _initial(task, [keys.stream(seed, "evaluate", "fresh", number) for number in range(count)])


def initial_networks(task: Task, seed: int, settings: OptimizersConfig) -> Networks:
  """Those that optimizers are tuned on, chosen by, and compared on."""

  def of(name, count):
    return _initial(task, [keys.stream(seed, "evaluate", name, number) for number in range(count)])

  group = settings.tuning_networks
  choosing = of("choosing", CHOOSING_GROUPS * group)
  return Networks(of("tuning", group), choosing, fresh_networks(task, seed, settings.networks))


def _initial(task: Task, of_each: Sequence[Array]) -> Float[Array, "net parameter"]:
  """A network a key. One after another, as batched decompositions may hang on a CPU; compiled once, however many."""
  init = _initializer(task)
  return jnp.stack([init(key) for key in of_each])


@functools.cache
def _initializer(task: Task) -> Callable[[Array], Float[Array, "parameter"]]:
  return jax.jit(lambda key: task.spec.flatten(task.network.init(key)))


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
  task: Task, runner: trials.Runner, networks: Networks, seed: int, done: Callable[[], Any] = lambda: None
) -> Baseline:
  """An optimizer tuned on some networks, training others, wherever they start; calls `done` after each group of runs.

  Raises UserError where it diverges at every learning rate.
  """
  tuning_key, choosing_key, fresh_key = (keys.stream(seed, "evaluate", "optimizers", of) for of in Networks._fields)
  run = functools.partial(trials.run, runner, done=done)
  of_tuning = functools.partial(run, networks=networks.tuning, key=tuning_key, parts=("recorded",))
  name = runner.recipe.optimizer
  centre = CENTRES[name] if name in CENTRES else runner.recipe.learning_rate
  tuning, edge = tune(task, of_tuning, curves.grid_index(centre))
  best = best_combinations(task, tuning)
  if not len(best):
    raise UserError(f"optimizer {name!r} diverges at every learning rate down to {tuning.learning_rate.min()}")
  combinations = list(zip(tuning.learning_rate[best], tuning.decay[best]))
  choosing = run(combinations, networks.choosing, choosing_key, ("recorded",))
  return Baseline(tuning, best, choosing, run(combinations, networks.fresh, fresh_key, SHARED_PARTS), edge)


def choose(task: Task, baseline: Baseline, metric: str, level: float) -> int:
  """Which of the fresh networks' curves is compared: that of the combination to expect at the level first.

  Expected are the steps of the tuning and the choosing networks, resampled: a
  combination whose mean only just gets there, and with other networks might
  never, counts its whole run where it does not. Where none ever gets there it is
  the best one.
  """
  tuning, higher = baseline.tuning, task.metric(metric).higher_is_better
  of_both = (tuning.numbers["recorded"][metric][baseline.best], baseline.choosing.numbers["recorded"][metric])
  own, step = np.concatenate(of_both, axis=1).astype(np.float64), baseline.choosing.step
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
