"""What is diffused: the target's parameters, or its update, in units of their spread."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from g_pt.parameters import ParameterSpec

VARIABLES = ("parameters", "update")
# Standard deviation of the diffused variable, as in Peebles et al. 2022.
DIFFUSED_STD = 0.538


class Variable(NamedTuple):
  """The change of units between networks and what diffusion sees, entry by entry."""

  start_scale: Float[Array, "parameter"]
  target_scale: Float[Array, "parameter"]
  residual: bool  # whether x_0 is near the scaled start, so that the model should add to it

  def start(self, theta: Float[Array, "batch parameter"]) -> Float[Array, "batch parameter"]:
    """The start network as the model sees it."""
    return theta / self.start_scale[None]

  def encode(self, target, theta):
    """Target and start networks -> x_0."""
    return (target if self.residual else target - theta) / self.target_scale[None]

  def decode(self, x0, theta):
    """x_0 and the start network -> target network."""
    change = x0 * self.target_scale[None]
    return change if self.residual else theta + change


def make_variable(
  name: str, spec: ParameterSpec, start_std: dict[str, float], update_std: dict[str, float]
) -> Variable:
  """`parameters` or `update`, each layer scaled to a standard deviation of DIFFUSED_STD.

  `start_std` and `update_std` hold a layer's standard deviation by its name: of
  parameters, and of the difference between checkpoints of one run.
  """

  def scale(std: dict[str, float]):
    return jnp.asarray(spec.spread({n: max(s, 1e-8) / DIFFUSED_STD for n, s in std.items()}))

  match name:
    case "parameters":
      return Variable(scale(start_std), scale(start_std), residual=True)
    case "update":
      return Variable(scale(start_std), scale(update_std), residual=False)
  raise ValueError(f"diffusion.variable: unknown {name!r}; it is one of: {', '.join(VARIABLES)}")
