"""How differently two networks behave, whatever their weights.

Equal errors of two weights may move the outputs by very different amounts; what
is seen of them here is what they do on the task's inputs.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from g_pt.tasks.base import Task
from g_pt.tasks.supervised import run_axes


def divergence(
  target: Float[Array, "example class net"], estimate: Float[Array, "example class net"]
) -> Float[Array, "net"]:
  """KL(target || estimate) of the classes' probabilities by their logits, in nats, averaged over examples."""
  wanted, given = jax.nn.log_softmax(target, axis=1), jax.nn.log_softmax(estimate, axis=1)
  return jnp.mean(jnp.sum(jnp.exp(wanted) * (wanted - given), axis=1), axis=0)


@dataclasses.dataclass(frozen=True, eq=False)
class Behaviour:
  """The logits of a task's networks, on inputs that are drawn anew each time and shared by a batch."""

  task: Task
  weight: float  # of a nat
  inputs: int

  def __post_init__(self):
    if self.task.inputs is None:
      raise ValueError(f"diffusion.behaviour: the task {self.task.name!r} has no inputs to compare networks on")

  def logits(self, theta: Float[Array, "net parameter"], inputs: Array) -> Float[Array, "example class net"]:
    """Of many networks on the same inputs, laid out like a training group."""
    axes = run_axes(self.task.spec)
    stacked = jax.vmap(self.task.spec.unflatten, out_axes=axes)(theta)
    forward = self.task.group_forward or jax.vmap(self.task.forward, in_axes=(axes, None), out_axes=-1)
    return forward(stacked, inputs)

  def loss(
    self, target: Float[Array, "net parameter"], estimate: Float[Array, "net parameter"], data: Any, key: Array
  ) -> Float[Array, "net"]:
    """Weighted divergence of each pair of networks; `data` is the task's."""
    inputs = self.task.inputs(data, key, self.inputs)
    return self.weight * divergence(self.logits(target, inputs), self.logits(estimate, inputs))
