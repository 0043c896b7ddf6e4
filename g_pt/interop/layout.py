"""Networks in PyTorch's layout: its names, its order in a flat vector, its axes.

PyTorch lists a module's weight before its bias and keeps linear kernels
[out, in] and those of convolutions [out, in, height, width]; ours are sorted
by name, [in, out] and [height, width, in, out].
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Int
import numpy as np

from g_pt.parameters import Arrangement, Parameters
from g_pt.tasks.base import Task

# By task, our modules in the order of the paper's networks, and their names there.
MODULES: dict[str, dict[str, str]] = {
  "digits": {"layer_0": "fc1", "layer_1": "fc2"},
  "mnist": {"layer_0": "fc1", "layer_1": "fc2"},
  "cifar10": {"conv_0": "conv1", "conv_1": "conv2", "linear": "fc"},
  "cartpole": {"layer_0": "actor.0", "layer_1": "actor.2", "layer_2": "actor.4"},
}
# Of a kernel by its number of axes: the order of our axes in PyTorch.
_KERNEL_AXES = {2: (1, 0), 4: (3, 2, 0, 1)}
_KINDS = ("kernel", "bias")  # PyTorch's order; there a kernel is called `weight`


class TorchParameter(NamedTuple):
  """One array of a network, here and in PyTorch."""

  ours: str  # in the ParameterSpec
  theirs: str  # in the state_dict
  axes: tuple[int, ...]  # theirs = ours.transpose(axes)


def torch_parameters(task: Task) -> tuple[TorchParameter, ...]:
  """Every array of the task's networks, in PyTorch's order.

  A task without an entry in MODULES keeps its own modules, names and order.
  Raises ValueError where a parameter is neither a kernel nor a bias.
  """
  spec = task.spec
  found = list(dict.fromkeys(name.rpartition("/")[0] for name in spec.names))
  modules = MODULES.get(task.name, {module: module.replace("/", ".") for module in found})
  entries = []
  for ours, theirs in modules.items():
    for kind in _KINDS:
      name = f"{ours}/{kind}"
      if name in spec.names:
        axes = _KERNEL_AXES.get(len(spec.shape(name))) if kind == "kernel" else (0,)
        entries.append(TorchParameter(name, f"{theirs}.{'weight' if kind == 'kernel' else kind}", axes))
  if sorted(entry.ours for entry in entries) != sorted(spec.names) or not all(entry.axes for entry in entries):
    raise ValueError(f"task {task.name!r}: no PyTorch layout is known for {dict(zip(spec.names, spec.shapes))}")
  return tuple(entries)


def release_arrangement(task: Task) -> Arrangement:
  """That of the release's flat vectors, as a ParameterSpec takes it."""
  return tuple((entry.ours, entry.axes) for entry in torch_parameters(task))


def release_index(task: Task) -> Int[np.ndarray, "parameter"]:
  """`theta[release_index(task)]` is the release's vector of our `theta`; `np.argsort` of it leads back."""
  return task.spec.arrangement_index(release_arrangement(task))


def release_sizes(task: Task) -> tuple[int, ...]:
  """Entries of each array, in the release's order."""
  return task.spec.arranged(release_arrangement(task)).sizes


def state_of_network(task: Task, parameters: Parameters) -> dict[str, np.ndarray]:
  """One network's pytree -> a `state_dict` of float32 arrays."""
  arrays = task.spec.layers(task.spec.flatten(parameters))
  return {
    entry.theirs: np.array(arrays[entry.ours], np.float32).transpose(entry.axes).copy()
    for entry in torch_parameters(task)
  }
