"""What a small network is for: one frozen Task of pure functions for ONE network.

`vmap` makes populations of these functions; nothing here knows of a batch of
networks, except a task's own `train_group` where it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from g_pt.parameters import HiddenLayer, Parameters, ParameterSpec


def _log_coordinate(value: Float[Array, "..."]) -> Float[Array, "..."]:
  return jnp.log(jnp.maximum(value, 0.0) + 0.02)


@dataclasses.dataclass(frozen=True)
class Metric:
  """A number measured on one network, and how it is prompted."""

  label: str  # for axes and tables, with the unit
  higher_is_better: bool
  best_prompt: float  # the best value one asks for; prompts run from here
  recursive_prompt: float  # asked for again and again when updates are repeated
  own_share: float = 1.0  # prompts run to this share of a network's own metric
  # The smooth, monotone scale on which models see the metric.
  coordinate: Callable[[Float[Array, "..."]], Float[Array, "..."]] = _log_coordinate

  def is_better(self, a: Any, b: Any) -> Any:
    return a > b if self.higher_is_better else a < b


class RunGroup(NamedTuple):
  """What a group of training runs leaves behind."""

  theta: Float[Array, "run checkpoint parameter"]
  metrics: dict[str, Float[Array, "run checkpoint"]]


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
  """One kind of network: how it starts, what it computes, how it is judged.

  `Data` is whatever pytree `load` returns (arrays on the host); every function
  that needs it takes it as an argument, so that it is never a constant of a
  compiled program.
  """

  name: str
  init: Callable[[Array], Parameters]  # key -> parameters
  forward: Callable[[Parameters, Array], Array]  # parameters, inputs [example, ...] -> logits [example, class]
  # parameters, batch -> mean loss, what a run descends; None: it learns otherwise
  loss: Callable[[Parameters, Any], Float[Array, ""]] | None
  evaluate: Callable[[Parameters, Any], dict[str, Float[Array, ""]]]  # parameters, data -> every recorded number
  metrics: Mapping[str, Metric]  # those of `evaluate` that may be prompted
  load: Callable[[str | None], Any]  # data folder -> Data
  batch: Callable[[Any, Int[Array, "example"], Array], Any] | None  # data, indices, key -> batch for `loss`
  # frozen dataclass, the defaults of one training run, with `learning_rate`, `steps(data)` and
  # `measured(data)`, the part of the data that `evaluate` is given
  recipe: Any
  # task, recipe, data, initial theta [run, parameter], learning rates [run], key, saved steps [checkpoint]
  # -> RunGroup; g_pt.tasks.supervised.train_group unless the task learns otherwise
  train_group: Callable[..., RunGroup]
  optimizers: tuple[str, ...] = ()  # values of `recipe.optimizer` that one update is compared with
  hidden_layers: tuple[HiddenLayer, ...] = ()  # the permutations that leave the network's function unchanged
  # data, key, how many -> inputs for `forward` by which what networks do can be told apart; None: there are none
  inputs: Callable[[Any, Array, int], Array] | None = None
  # `forward` of many networks stacked along a last axis, parameters, inputs -> logits [example, class, run];
  # None: by vmap
  group_forward: Callable[[Parameters, Array], Float[Array, "example class run"]] | None = None
  # `loss` likewise, parameters, batch -> loss [run]
  group_loss: Callable[[Parameters, Any], Float[Array, "run"]] | None = None

  @functools.cached_property
  def spec(self) -> ParameterSpec:
    """Names, shapes and symmetry of the network's parameters."""
    return ParameterSpec.of(jax.eval_shape(self.init, jax.random.key(0)), self.hidden_layers)

  def metric(self, name: str) -> Metric:
    """The metric of that name; ValueError, naming those there are, if there is none."""
    if name not in self.metrics:
      raise ValueError(f"unknown metric {name!r} of task {self.name!r}; it has: {', '.join(self.metrics)}")
    return self.metrics[name]
