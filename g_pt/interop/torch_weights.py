"""Weights of the public PyTorch release of G.pt -> a workdir of the same model.

    python -m g_pt.interop.torch_weights mnist_loss.pt --task=mnist --metric=test_loss --workdir=runs/release
    python main.py --config=runs/release/experiment.py --workdir=runs/release

The first command writes what `g_pt.load` opens; the second makes a corpus where
there is none, evaluates and reports. The release's vectors list a network's
parameters as PyTorch does (`fc1.weight` before `fc1.bias`, kernels [out, in]);
the workdir keeps that order beside the weights, which are for such vectors.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import dataclasses
from pathlib import Path
import pickle
from typing import Any, NamedTuple
import zipfile

import jax
from jaxtyping import PyTree
import numpy as np

from g_pt import config as config_lib
from g_pt import trained, workdir
from g_pt.checkpointing import Checkpoints
from g_pt.corpus.statistics import PromptRange, Statistics
from g_pt.errors import UserError
from g_pt.generator import DiffusionConfig, SampleConfig, build
from g_pt.interop import command, layout
from g_pt.interop.release_state import config_of_state, flax_parameters
from g_pt.models.chunk_transformer import ChunkTransformerConfig
from g_pt.parameters.units import DIFFUSED_STD, UnitStatistics
from g_pt.tasks.base import Task


class Published(NamedTuple):
  """What the weights of a published model do not show; Peebles et al. 2022."""

  heads: int
  scale: float  # of parameters, 0.538 over their standard deviation


PUBLISHED = {"mnist": Published(16, 4.185), "cifar10": Published(16, 1.646), "cartpole": Published(12, 2.06)}

# So that `main.py` takes the imported model like any other.
EXPERIMENT = "experiment.py"
_EXPERIMENT_FILE = '''"""Imported weights: python main.py --config=THIS_FILE --workdir=FOLDER [--config.a.b=value]."""

import json
from pathlib import Path

from ml_collections import ConfigDict


def with_tuples(fields: dict) -> dict:
  """What a flag may change is a tuple, of which JSON knows nothing."""
  return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def get_config() -> ConfigDict:
  text = Path(__file__).with_name("train.json").read_text()
  return ConfigDict(json.loads(text, object_hook=with_tuples)["config"])
'''


def read_checkpoint(file: Path, which: str) -> tuple[dict[str, np.ndarray], int]:
  """A checkpoint of the release -> its weights `which` (`G_ema` or `G`) by name, and the steps they were trained for.

  Steps are 1 where the optimizer does not tell. Nothing in the file is
  executed. Raises UserError where it is not such a checkpoint.
  """
  torch = command.library("torch")
  try:
    found = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
  except OSError as error:
    raise UserError(f"{file}: {error.strerror or error}") from None
  except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, AttributeError) as error:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    raise UserError(f"{file}: not a PyTorch file of tensors alone: {reason}") from None
  held = ", ".join(map(str, found)) if isinstance(found, dict) else type(found).__name__
  if not isinstance(found, dict) or not isinstance(found.get(which), dict):
    raise UserError(f"{file}: not a checkpoint of G.pt: {which} is not among what it holds ({held or 'nothing'})")
  state = {}
  for name, value in found[which].items():
    if not isinstance(value, torch.Tensor):
      raise UserError(f"{file}: not a checkpoint of G.pt: {name} of {which} is no tensor")
    # Weights that data-parallel training saved are a module inside another.
    state[str(name).removeprefix("module.")] = value.to(torch.float32).numpy()
  optimizer = found.get("optim")
  slots = optimizer.get("state", {}) if isinstance(optimizer, dict) else {}
  return state, max([1, *(int(slot["step"]) for slot in slots.values() if "step" in slot)])


def import_weights(
  file: str | Path,
  task: Task,
  metric: str,
  directory: str | Path,
  *,
  which: str = "G_ema",
  heads: int | None = None,
  prediction: str = "x0",
  scale: float | None = None,
  metric_range: tuple[float, float] | None = None,
) -> ChunkTransformerConfig:
  """Writes a workdir that `g_pt.load` and every stage take; returns the model's sizes.

  Args:
    file: a checkpoint of the release, a dict of `G`, `G_ema` and `optim`.
    task: of the networks that the weights are for.
    metric: that the weights are prompted with.
    directory: the workdir; a corpus may be there, a trained G.pt may not.
    which: the weights taken, `G_ema` or `G`.
    heads: of attention; None: as published for the task.
    prediction: what the model's output means, `x0` or `noise`.
    scale: of parameters as the model sees them; None: as published for the task.
    metric_range: to which prompts are clipped; None: they are taken as they are.

  Raises:
    UserError: the file is not such a checkpoint, does not fit the task, or the workdir holds another model.
  """
  file, directory = Path(file), Path(directory)
  published = _published(task, heads, scale)
  for name in (workdir.TRAINED, workdir.CHECKPOINTS, EXPERIMENT):
    if (directory / name).exists():
      raise UserError(f"{directory}: {name} is in the way; choose another --workdir")
  state, steps = read_checkpoint(file, which)
  try:
    model = config_of_state(state, layout.release_sizes(task), published.heads)
    weights = flax_parameters(state, model)
    diffusion = DiffusionConfig(
      timesteps=1000, schedule="linear", variable="parameters", prediction=prediction, scale=published.scale
    )
  except ValueError as error:
    raise UserError(f"{file}: {error}") from None
  arrangement = layout.release_arrangement(task)
  statistics = Statistics(_units(task, published.scale), metric_range and PromptRange(*metric_range), None)
  _check_shapes(file, weights, build(task.spec, task.metric(metric), model, diffusion, statistics, arrangement).init)
  values = _values(task, metric, model, diffusion, steps)
  with Checkpoints(directory / workdir.CHECKPOINTS) as checkpoints:
    # Of an optimizer nothing is kept: these weights are sampled from, not trained on.
    checkpoints.save(steps, {"step": np.int32(steps)}, weights, {"seconds": 0.0})
  workdir.write_bytes(directory / workdir.METRICS, b"")  # no step of training was logged
  workdir.write_bytes(directory / EXPERIMENT, _EXPERIMENT_FILE.encode())
  trained.write_trained(directory, values, statistics, arrangement, {"file": file.name, "weights": which})
  return model


def _published(task: Task, heads: int | None, scale: float | None) -> Published:
  """What is given, or else published; UserError where neither says."""
  known = PUBLISHED.get(task.name, Published(0, 0.0))
  found = Published(heads or known.heads, scale or known.scale)
  for name, value in (("--heads", found.heads), ("--scale", found.scale)):
    if value <= 0:
      raise UserError(
        f"{name}: needed, greater than 0: the weights do not show it, and nothing is published of {task.name}"
      )
  return found


def _values(
  task: Task, metric: str, model: ChunkTransformerConfig, diffusion: DiffusionConfig, steps: int
) -> dict[str, Any]:
  """The configuration of an imported model, checked."""
  values = config_lib.default(task.name, metric, "chunk_transformer").to_dict()
  values["model"] |= dataclasses.asdict(model)
  values |= {"diffusion": dataclasses.asdict(diffusion), "sample": dataclasses.asdict(SampleConfig("ddpm", 1000))}
  values["train"]["steps"] = steps
  config_lib.parse(values)
  return values


def _units(task: Task, scale: float) -> UnitStatistics:
  """Statistics under which the diffused variable is the parameters times `scale`."""
  std = dict.fromkeys(task.spec.names, np.asarray(DIFFUSED_STD / scale, np.float32))
  return UnitStatistics(std, std)


def _check_shapes(file: Path, weights: PyTree, init: Any) -> None:
  wanted = jax.tree_util.tree_leaves_with_path(jax.eval_shape(init, jax.random.key(0)))
  found = dict(jax.tree_util.tree_leaves_with_path(weights))
  for path, leaf in wanted:
    if path not in found or found[path].shape != leaf.shape:
      here = found[path].shape if path in found else "missing"
      raise UserError(f"{file}: {jax.tree_util.keystr(path)} is {here}, not {leaf.shape}")


def _range(text: str) -> tuple[float, float]:
  try:
    low, high = map(float, text.split(","))
  except ValueError:
    raise argparse.ArgumentTypeError(f"{text!r} is not LOW,HIGH") from None
  return low, high


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m g_pt.interop.torch_weights")
  parser.add_argument("file", metavar="FILE.pt", type=Path, help="checkpoint of the release")
  parser.add_argument("--task", required=True, help="mnist, cifar10, cartpole or another of the table")
  parser.add_argument("--metric", required=True, help="that the weights are prompted with, such as test_loss")
  parser.add_argument("--workdir", required=True, type=Path, help="folder to write")
  parser.add_argument("--weights", default="G_ema", choices=("G_ema", "G"), help="averaged (default) or raw weights")
  parser.add_argument("--heads", type=int, help="of attention; default: as published for the task")
  parser.add_argument("--prediction", default="x0", choices=("x0", "noise"), help="what the model's output means")
  parser.add_argument("--scale", type=float, help="of parameters; default: as published for the task")
  parser.add_argument(
    "--metric-range", type=_range, metavar="LOW,HIGH", help="to which prompts are clipped; default: none"
  )
  given = parser.parse_args(arguments)
  task = command.task_named(given.task)
  try:
    task.metric(given.metric)
  except ValueError as error:
    raise UserError(f"--metric: {error}") from None
  model = import_weights(
    given.file,
    task,
    given.metric,
    given.workdir,
    which=given.weights,
    heads=given.heads,
    prediction=given.prediction,
    scale=given.scale,
    metric_range=given.metric_range,
  )
  print(
    f"{given.workdir}: a G.pt of {task.name} networks for {given.metric}, {model.depth} blocks of width {model.width} "
    f"with {model.heads} heads; open it with g_pt.load or main.py --config={given.workdir / EXPERIMENT}"
  )


if __name__ == "__main__":
  command.run(main, "torch_weights")
