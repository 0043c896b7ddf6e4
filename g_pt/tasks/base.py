"""What small networks are for: one frozen Task of pure functions.

Networks come stacked, their parameters along a last axis `run`; one network is
a stack of one. What is written for a single network, g_pt.tasks.population
takes to the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree
import numpy as np

from g_pt.keys import fold
from g_pt.parameters import HiddenLayer, Parameters, ParameterSpec

Stacked = PyTree[Float[Array, "... run"]]  # the parameters of many networks
Numbers = dict[str, Float[Array, "run"]]  # by name, one a network
Data = PyTree  # what a task loads: arrays on the host
Judged = PyTree  # the part of the data that networks are measured on

# `recorded`: what a corpus measures its checkpoints on, and prompts ask for; `final`: what nothing is chosen by;
# `whole`: both, where a published figure is compared.
SHARED_PARTS = ("recorded", "final")  # that every task has
PARTS = (*SHARED_PARTS, "whole")


def _log_coordinate(value: Float[Array, "..."]) -> Float[Array, "..."]:
  return jnp.log(jnp.maximum(value, 0.0) + 0.02)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
  """A number measured on one network, and how it is prompted."""

  label: str  # for axes and tables, with the unit
  higher_is_better: bool
  best_prompt: float  # the best value one asks for; prompts run from here
  own_share: float = 1.0  # prompts run to this share of a network's own metric
  recursive_prompt: float | None = None  # asked for again and again; None: the best
  # The smooth, monotone scale on which models see the metric.
  coordinate: Callable[[Float[Array, "..."]], Float[Array, "..."]] = _log_coordinate

  def gain(self, value: Any) -> Any:
    """The number or array on a scale where more is better."""
    return value if self.higher_is_better else -value


@runtime_checkable
class Recipe(Protocol):
  """One training run: a frozen dataclass of its settings, which refuses what they cannot be."""

  __dataclass_fields__: ClassVar[dict[str, Any]]

  @property
  def learning_rate(self) -> float: ...

  @property
  def optimizer(self) -> str: ...

  def steps(self, data: Data) -> int:
    """Length of a run, in the unit that `saved` counts."""
    ...

  def decay(self, data: Data) -> Float[np.ndarray, "step"]:
    """The recipe's own factors on the learning rate."""
    ...


class Picture(NamedTuple):
  """What one looks at to see a network change."""

  tiles: Callable[[Parameters], Float[Array, "tile row column channel"]]  # of one network; 1 or 3 (colour) channels
  caption: str  # what the tiles are, and their axes


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Network:
  """How a network starts, and what many of them compute."""

  init: Callable[[Array], Parameters]  # key -> one network's parameters
  # Many networks on the same inputs [example, ...].
  apply: Callable[[Stacked, Array], Float[Array, "example output run"]]
  picture: Picture
  hidden_layers: tuple[HiddenLayer, ...] = ()  # the permutations that leave the network's function unchanged

  @functools.cached_property
  def spec(self) -> ParameterSpec:
    """Names, shapes and symmetry of one network's parameters."""
    return ParameterSpec.of(jax.eval_shape(self.init, jax.random.key(0)), self.hidden_layers)


class Decisions(NamedTuple):
  """What networks choose on inputs that they share: classes, or actions."""

  chosen: Int[Array, "example run"]
  right: Int[Array, "example"] | None  # None: there is no right choice


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Measurement:
  """How networks are judged."""

  metrics: Mapping[str, Metric]  # those of the numbers that may be prompted
  # One of `parts` by its name, as much of it as the recipe asks for. Raises
  # ConfigError where that is more than there is, ValueError on other names.
  part: Callable[[Data, Any, str], Judged]
  evaluate: Callable[[Stacked, Judged], Numbers]  # every number
  # Every number of all the networks as one, by the mean of their probabilities.
  ensemble: Callable[[Stacked, Judged], dict[str, Float[Array, ""]]]
  decisions: Callable[[Stacked, Judged], Decisions]
  parts: tuple[str, ...] = PARTS


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Training:
  """How networks learn.

  `run(recipe, data, initial, learning_rate, decay, key, saved)` trains a group
  from initial [run, parameter], each by its learning_rate [run] times a factor
  decay [step] of each step, and gives theta [checkpoint, run, parameter] after
  the `saved` [checkpoint] steps, which rise and begin with 0. It is pure and
  jittable, the recipe static. The group shares its random numbers: a run
  depends on its initial parameters, its learning rate and what the group shares
  alone. Raises ValueError where `decay` is not of the recipe's steps.
  """

  recipe: Recipe  # the defaults
  run: Callable[..., Float[Array, "checkpoint run parameter"]]
  optimizers: tuple[str, ...]  # values of `recipe.optimizer` that one update is compared with
  # data, key, count -> training inputs [example, ...] to compare networks' outputs on, and their labels; None: none
  examples: Callable[[Data, Array, int], tuple[Array, Int[Array, "example"]]] | None = None
  seen: Callable[[Data], Data] = lambda data: data  # without what runs and `examples` do not look at


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Task:
  """One kind of network: what it computes, how it is judged, how it learns.

  Every function that needs the data takes it as an argument, so that it is
  never a constant of a compiled program.
  """

  name: str
  load: Callable[[str | None], Data]  # data folder -> data
  network: Network
  measurement: Measurement
  training: Training
  # Of a family of data sets (data, key) -> one of them, which all else above and below takes as its data; None: the
  # data are one set.
  draw: Callable[[Data, Array], Data] | None = None

  def data_of(self, data: Data, key: Array) -> Data:
    """What the runs of a group learn from, by the group's key; for use inside jit."""
    return data if self.draw is None else self.draw(data, fold(key, "data set"))

  def example(self, data: Data) -> Data:
    """Shapes of what a group learns from, or the data themselves where they are one set."""
    return data if self.draw is None else jax.eval_shape(self.draw, data, jax.random.key(0))

  @property
  def spec(self) -> ParameterSpec:
    """Names, shapes and symmetry of one network's parameters."""
    return self.network.spec

  def metric(self, name: str) -> Metric:
    """The metric of that name; ValueError, naming those there are, if there is none."""
    metrics = self.measurement.metrics
    if name not in metrics:
      raise ValueError(f"unknown metric {name!r} of task {self.name!r}; it has: {', '.join(metrics)}")
    return metrics[name]
