"""What evaluations share: what they are given, and what they leave.

Each experiment is a module of this package with a frozen dataclass `Settings`
and a pure function `run(context, settings) -> Result`; `g_pt.plugins` lists
them beside what draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree
import numpy as np

from g_pt.chunks import in_chunks, updated_at_once
from g_pt.corpus.split import Split
from g_pt.corpus.store import Corpus
from g_pt.family_gpt import FamilyGPT
from g_pt.fields import Settings
from g_pt.generator import SampleConfig
from g_pt.gpt import GPT
from g_pt.keys import fold, stream
from g_pt.optimizers import baselines
from g_pt.optimizers.baselines import Baseline, OptimizersConfig
from g_pt.optimizers.kept import load_or_run


@dataclasses.dataclass(frozen=True)
class NoSettings(Settings):
  """Of an experiment that has nothing to set."""


class Result(NamedTuple):
  """What an experiment leaves in its file: numbers as JSON keeps them, and arrays for figures."""

  summary: dict[str, Any]
  arrays: dict[str, np.ndarray]


class Recorded(NamedTuple):
  """Networks of the corpus and the metric that it recorded of them."""

  theta: Float[Array, "net parameter"]
  metric: Float[Array, "net"]


def starts_of(corpus: Corpus, metric: str, runs: Int[np.ndarray, "net"]) -> Recorded:
  """The initial networks of runs, read without the rest of them."""
  return _checkpoint(corpus, metric, runs, 0)


def _checkpoint(corpus: Corpus, metric: str, runs: Int[np.ndarray, "net"], checkpoint: int) -> Recorded:
  values = corpus.read(corpus.metrics[metric], runs)[:, checkpoint]
  return Recorded(jnp.asarray(corpus.read(corpus.theta, runs, checkpoint)), jnp.asarray(values))


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
  history: Callable[[], Iterator[tuple[int, PyTree]]]  # (training step, averaged weights), rising
  family: FamilyGPT | None = None  # the model for many data sets, of none of which `gpt` then knows

  def key(self, *path: str | int) -> Array:
    """Of an experiment: give its name first."""
    return stream(self.seed, "evaluate", *path)

  def starts(self, runs: str, count: int) -> Recorded:
    """Of the first `count` runs of a kind: train, validation or test."""
    return starts_of(self.corpus, self.gpt.metric_name, getattr(self.split, runs)[:count])

  def ends(self, runs: Int[np.ndarray, "net"]) -> Recorded:
    """The last checkpoints of runs, given by number."""
    return _checkpoint(self.corpus, self.gpt.metric_name, runs, -1)

  def fresh(self, count: int) -> Float[Array, "net parameter"]:
    """Initial networks that no corpus and no choice has seen: those that optimizers train, too."""
    return baselines.fresh_networks(self.gpt.task, self.seed, count)

  def baselines(self) -> dict[str, Baseline]:
    """The optimizers' curves, which are kept beside the corpus and made where they are missing."""
    gpt, folder = self.gpt, self.optimizers_folder
    return load_or_run(gpt.task, gpt.recipe, gpt.data, self.optimizers, self.seed, folder)

  def numbers(self, theta: Float[Array, "net parameter"]) -> dict[str, dict[str, Float[np.ndarray, "net"]]]:
    """Every number of networks, on each part of the task's data."""
    return {part: jax.device_get(self.gpt.evaluate(theta, part)) for part in self.gpt.task.measurement.parts}

  def metric(
    self, theta: Float[Array | np.ndarray, "*axis parameter"], part: str = "recorded"
  ) -> Float[np.ndarray, "*axis"]:
    """The metric of any number of networks."""
    theta = jnp.asarray(theta)
    values = self.gpt.evaluate(theta.reshape(-1, theta.shape[-1]), part)[self.gpt.metric_name]
    return np.asarray(values).reshape(theta.shape[:-1])

  def update(
    self,
    theta: Float[Array, "net parameter"],
    prompt: float | Float[Array | np.ndarray, "net"],
    key: Array,
    own: Float[Array | np.ndarray, "net"] | None = None,
    *,
    config: SampleConfig | None = None,
    weights: PyTree = None,
    noise: Float[Array, "net reduced"] | None = None,
  ) -> Float[Array, "net parameter"]:
    """`GPT.update` of any number of networks; `own` is their metric, None: measured."""
    gpt, count = self.gpt, len(theta)
    own = self.metric(theta) if own is None else own
    prompt = jnp.broadcast_to(jnp.asarray(prompt, jnp.float32), (count,))
    noise = gpt.noise(fold(key, "first"), count) if noise is None else noise

    def update(theta, own, prompt, noise):
      return gpt.update(theta, own, prompt, fold(key, "later"), config, weights, noise)

    return in_chunks(update, updated_at_once(), theta, own, prompt, noise, whole=True)


class Evaluation(Protocol):
  """A module of this package."""

  Settings: type[Settings]
  USES: tuple[str, ...]  # parts of the configuration, beside its own settings and those of training, that it depends on

  @staticmethod
  def run(context: Context, settings: Any) -> Result: ...
