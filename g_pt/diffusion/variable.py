"""What is diffused: the target's parameters, or its update, in units of their spread."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from g_pt.directions import Reduction
from g_pt.parameters import ParameterSpec

VARIABLES = ("parameters", "update")
# Standard deviation of the diffused variable, as in Peebles et al. 2022.
DIFFUSED_STD = 0.538


class Variable(NamedTuple):
  """The change between networks and what diffusion sees: along a few directions, in units of each layer's spread."""

  reduction: Reduction
  start_scale: Float[Array, "reduced"]
  target_scale: Float[Array, "reduced"]
  residual: bool  # whether x_0 is near the scaled start, so that the model should add to it
  # Root mean square of x_0, or with `residual` of its difference from the start; None: unknown.
  size: Float[Array, "reduced"] | None = None

  @property
  def spec(self) -> ParameterSpec:
    """Of the vectors that diffusion sees."""
    return self.reduction.reduced

  def start(self, theta: Float[Array, "batch parameter"]) -> Float[Array, "batch reduced"]:
    """The start network as the model sees it."""
    return self.reduction.reduce(theta) / self.start_scale[None]

  def encode(self, target, theta):
    """Target and start networks -> x_0."""
    return self.reduction.reduce(target if self.residual else target - theta) / self.target_scale[None]

  def decode(self, x0, theta):
    """x_0 and the start network -> target network."""
    change = self.reduction.expand(x0 * self.target_scale[None])
    return change if self.residual else theta + change


def make_variable(
  name: str,
  spec: ParameterSpec,
  start_std: dict[str, float],
  update_std: dict[str, float],
  directions: dict[str, list[list[float]]] | None = None,
  update_size: dict[str, Any] | None = None,
) -> Variable:
  """`parameters` or `update`, each layer scaled to a standard deviation of DIFFUSED_STD.

  `start_std` and `update_std` hold a layer's standard deviation by its name: of
  parameters, and of the difference between checkpoints of one run. An update
  may lie along a few `directions` of some layers alone. `update_size` is as in
  g_pt.corpus.prepare.Statistics.
  """
  basis = {layer: np.asarray(columns, np.float32) for layer, columns in (directions or {}).items()}
  reduction = Reduction.of(spec, basis)

  def scale(std: dict[str, float]):
    return jnp.asarray(reduction.reduced.spread({n: max(s, 1e-8) / DIFFUSED_STD for n, s in std.items()}))

  def size(target_scale):
    if not update_size:
      return None
    reduced = reduction.reduced
    whole = [
      np.broadcast_to(np.float32(update_size[n]), shape).ravel() for n, shape in zip(reduced.names, reduced.shapes)
    ]
    return jnp.asarray(np.maximum(np.concatenate(whole), 1e-8)) / target_scale

  if name == "parameters" and basis:
    raise ValueError("diffusion.directions: parameters are diffused whole; directions are for updates")
  if name in VARIABLES:
    start, target = scale(start_std), scale(start_std if name == "parameters" else update_std)
    return Variable(reduction, start, target, residual=name == "parameters", size=size(target))
  raise ValueError(f"diffusion.variable: unknown {name!r}; it is one of: {', '.join(VARIABLES)}")
