"""What a training costs: counted by XLA, not timed."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from g_pt import gpt, sharding, tasks, trained
from g_pt.config import Experiment
from g_pt.corpus.pairs import PairSource, Targets
from g_pt.errors import UserError
from g_pt.keys import stream
from g_pt.train.step import Step


def training_cost(experiment: Experiment, directory: Path) -> dict[str, Any]:
  """FLOP of one training step and of all of them, of the model trained in a workdir."""
  flop = flop_of_step(experiment, directory)
  return {"flop_of_step": flop, "steps": experiment.train.steps, "training_flop": flop * experiment.train.steps}


def flop_of_step(experiment: Experiment, directory: Path) -> float:
  """All floating-point operations of a step's program before it is optimized: forward, backward and the optimizer.

  XLA counts the body of a loop once. Microbatches are the one loop of a step:
  with all pairs in a single one, nothing is left out. Shapes alone are needed,
  and nothing is compiled.
  """
  task = tasks.get(experiment.task)
  load_data = functools.partial(task.load, experiment.data_dir)
  statistics, arrangement = trained.read_statistics(directory)
  model = gpt.build(experiment, statistics, load_data, arrangement)
  config = dataclasses.replace(experiment.train, microbatches=1)
  step = Step(task, model.generator, config, sharding.make_mesh(sharding.MeshConfig(data=1)))
  data = task.training.seen(model.data) if config.behaviour else None
  key = stream(experiment.seed, "train", "step")
  state = jax.eval_shape(step.init, key)
  analysis = jax.jit(step.__call__).lower(_any_source(task.spec.size), key, state, data).cost_analysis()
  if analysis is None:
    raise UserError(f"{directory}: XLA counts no operations on {jax.default_backend()}")
  return float(analysis["flops"])


def _any_source(size: int) -> PairSource:
  """Shapes of two runs of two checkpoints: pairs are gathered, so that more runs cost no operation."""

  def source() -> PairSource:
    index = jnp.zeros(2, jnp.int32)
    return PairSource(jnp.zeros((2, 2, size)), Targets(jnp.zeros((2, 2)), index, index, index))

  return jax.eval_shape(source)
