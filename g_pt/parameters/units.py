"""The units of diffusion: the target's parameters or its update, each array scaled to one standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from g_pt.parameters.directions import Reduction, principal_directions
from g_pt.parameters.spec import ParameterSpec

VARIABLES = ("parameters", "update")
# Standard deviation of the diffused variable, as in Peebles et al. 2022.
DIFFUSED_STD = 0.538


class UnitStatistics(NamedTuple):
  """What units are made of, measured on the pairs that training draws; each by the name of a parameter array.

  Where updates are diffused along `directions`, the others speak of the
  coordinates along them.
  """

  start_std: Mapping[str, Float[np.ndarray, ""]]  # of the start's parameters
  update_std: Mapping[str, Float[np.ndarray, ""]]  # of the target less the start
  # RMS update of each array, averaged over hidden-unit axes (kept as size 1); {}: unknown.
  update_size: Mapping[str, Float[np.ndarray, "..."]] = {}
  directions: Mapping[str, Float[np.ndarray, "input direction"]] = {}

  def to_arrays(self) -> dict[str, np.ndarray]:
    """Flat, for a file: `start_std/layer_0/kernel`, ..."""
    return {f"{field}/{name}": value for field, by_name in self._asdict().items() for name, value in by_name.items()}

  @classmethod
  def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> UnitStatistics:
    """The inverse of `to_arrays`."""
    fields: dict[str, dict[str, np.ndarray]] = {field: {} for field in cls._fields}
    for path, value in arrays.items():
      field, _, name = path.partition("/")
      fields[field][name] = value
    return cls(**fields)


def measure_units(
  spec: ParameterSpec,
  start: Float[np.ndarray, "pair parameter"],
  target: Float[np.ndarray, "pair parameter"],
  directions: int = 0,
) -> UnitStatistics:
  """The statistics of drawn pairs; with `directions`, along that many principal ones of wide layers."""
  update = target - start
  basis = principal_directions(spec, update, directions) if directions else {}
  reduction = Reduction.of(spec, basis)

  def std(values):
    values = np.asarray(reduction.reduce(jnp.asarray(values)))
    return {name: np.asarray(values[:, part].std(), np.float32) for name, part in reduction.reduced.slices.items()}

  return UnitStatistics(std(start), std(update), _shared_size(reduction, update), dict(basis))


def _shared_size(reduction: Reduction, update: Float[np.ndarray, "pair parameter"]) -> dict[str, np.ndarray]:
  """`UnitStatistics.update_size`: as the units of a hidden layer may change places, they have one size."""
  spec = reduction.reduced
  hidden = {(name, axis) for layer in spec.hidden_layers for name, axis in layer.axes}
  squares = np.asarray(reduction.reduce(jnp.asarray(update))) ** 2
  sizes = {}
  for name, part in spec.slices.items():
    shape = spec.shape(name)
    axes = (0, *(axis + 1 for axis in range(len(shape)) if (name, axis) in hidden))
    sizes[name] = np.sqrt(squares[:, part].reshape(-1, *shape).mean(axis=axes, keepdims=True)[0])
  return sizes


class Units(NamedTuple):
  """The change between networks and what diffusion sees."""

  reduction: Reduction
  start_scale: Float[Array, "reduced"]
  target_scale: Float[Array, "reduced"]
  residual: bool  # whether x_0 is near the scaled start, so that the model should add to it
  # RMS of x_0, or with `residual` of its difference from the start; None: unknown.
  size: Float[Array, "reduced"] | None = None

  @property
  def spec(self) -> ParameterSpec:
    """Of the vectors that diffusion sees."""
    return self.reduction.reduced

  def start(self, theta: Float[Array, "batch parameter"]) -> Float[Array, "batch reduced"]:
    """The start network as the model sees it."""
    return self.reduction.reduce(theta) / self.start_scale[None]

  def encode(
    self, target: Float[Array, "batch parameter"], theta: Float[Array, "batch parameter"]
  ) -> Float[Array, "batch reduced"]:
    """Target and start networks -> x_0."""
    return self.reduction.reduce(target if self.residual else target - theta) / self.target_scale[None]

  def decode(
    self, x0: Float[Array, "batch reduced"], theta: Float[Array, "batch parameter"]
  ) -> Float[Array, "batch parameter"]:
    """x_0 and the start network -> target network."""
    change = self.reduction.expand(x0 * self.target_scale[None])
    return change if self.residual else theta + change


def make_units(variable: str, spec: ParameterSpec, statistics: UnitStatistics, scale: float = 0.0) -> Units:
  """Units of `parameters` or `update`, each array scaled to a standard deviation of DIFFUSED_STD.

  A `scale` above 0 multiplies every parameter instead. Raises ValueError where
  the variable is unknown, or parameters are to be diffused along directions.
  """
  if variable not in VARIABLES:
    raise ValueError(f"variable: unknown {variable!r}; it is one of: {', '.join(VARIABLES)}")
  residual = variable == "parameters"
  if residual and statistics.directions:
    raise ValueError("directions: parameters are diffused whole; directions are for updates")
  reduction = Reduction.of(spec, statistics.directions)
  reduced = reduction.reduced

  def scales(std: Mapping[str, Any]) -> Float[Array, "reduced"]:
    if scale:
      return jnp.full(reduced.size, 1.0 / scale)
    return jnp.asarray(reduced.repeated({name: np.maximum(value, 1e-8) / DIFFUSED_STD for name, value in std.items()}))

  start, target = scales(statistics.start_std), scales(statistics.start_std if residual else statistics.update_std)
  size = None
  if statistics.update_size:
    size = jnp.maximum(jnp.asarray(reduced.repeated(statistics.update_size)), 1e-8) / target
  return Units(reduction, start, target, residual, size)
