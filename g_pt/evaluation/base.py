"""What evaluations share: what they are given, and what they leave.

Each experiment is a module of this package with a frozen dataclass `Settings`
and a pure function `run(context, settings) -> Result`; `g_pt.plugins` lists
them beside what draws them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

from g_pt.corpus.split import Split
from g_pt.corpus.store import Corpus
from g_pt.fields import Settings
from g_pt.gpt import GPT
from g_pt.keys import stream
from g_pt.optimizers.baselines import Baseline, OptimizersConfig, load_or_run


@dataclasses.dataclass(frozen=True)
class NoSettings(Settings):
  """Of an experiment that has nothing to set."""


class Result(NamedTuple):
  """What an experiment leaves in its file: numbers as JSON keeps them, and arrays for figures."""

  summary: dict[str, Any]
  arrays: dict[str, np.ndarray]


class Starts(NamedTuple):
  """Initial networks and the metric that the corpus recorded of them."""

  theta: Float[Array, "net parameter"]
  metric: Float[Array, "net"]


def starts_of(corpus: Corpus, metric: str, runs: Int[np.ndarray, "net"]) -> Starts:
  """The initial networks of runs, read without the rest of them."""
  values = corpus.read(corpus.metrics[metric], runs)[:, 0]
  return Starts(jnp.asarray(corpus.read(corpus.theta, runs, 0)), jnp.asarray(values))


@dataclasses.dataclass(frozen=True, eq=False)
class Context:
  """A trained G.pt and the corpus that it learned from, of which each experiment reads what it needs."""

  gpt: GPT
  corpus: Corpus
  split: Split
  seed: int
  training_seconds: float
  optimizers: OptimizersConfig
  optimizers_folder: Path  # where their curves are kept: beside the corpus

  def key(self, *path: str | int) -> Array:
    """Of an experiment: give its name first."""
    return stream(self.seed, "evaluate", *path)

  def starts(self, runs: str, count: int) -> Starts:
    """Of the first `count` runs of a kind: train, validation or test."""
    return starts_of(self.corpus, self.gpt.metric_name, getattr(self.split, runs)[:count])

  def baselines(self) -> dict[str, Baseline]:
    """The optimizers' curves, which are kept beside the corpus and made where they are missing."""
    gpt, folder = self.gpt, self.optimizers_folder
    return load_or_run(gpt.task, gpt.recipe, gpt.data, self.optimizers, self.seed, folder)

  def numbers(self, theta: Float[Array, "net parameter"]) -> dict[str, dict[str, Float[np.ndarray, "net"]]]:
    """Every number of networks, on each part of the task's data."""
    return {part: jax.device_get(self.gpt.evaluate(theta, part)) for part in self.gpt.task.measurement.parts}


class Evaluation(Protocol):
  """A module of this package."""

  Settings: type[Settings]
  USES: tuple[str, ...]  # parts of the configuration, beside its own settings and those of training, that it depends on

  @staticmethod
  def run(context: Context, settings: Any) -> Result: ...
