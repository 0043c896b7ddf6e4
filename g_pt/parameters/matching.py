"""Which hidden unit of one network is which of another: networks laid upon each other before they are compared."""

from __future__ import annotations

import functools
from typing import NamedTuple

from jaxtyping import Float, Int
import numpy as np
from scipy.optimize import linear_sum_assignment

from g_pt.parameters.spec import ParameterSpec

_ROUNDS = 20  # over the hidden layers of one pair; they settle after three or four
_PAIRS = 2**17  # whose similarities are in memory at once
_SHORTLIST = 64  # references that networks of several hidden layers are laid upon


@functools.cache
def unit_index(spec: ParameterSpec, layer: int) -> Int[np.ndarray, "unit feature"]:
  """Where in a flat vector the numbers of each unit of a hidden layer lie."""
  return _index(spec, layer, spec.hidden_layers[layer].axes)


@functools.cache
def _own_index(spec: ParameterSpec, layer: int) -> Int[np.ndarray, "unit feature"]:
  """Of those numbers, the ones that lie along no later hidden layer, whose order is not known yet."""
  later = {name for other in spec.hidden_layers[layer + 1 :] for name, _ in other.axes}
  axes = spec.hidden_layers[layer].axes
  return _index(spec, layer, tuple(one for one in axes if one[0] not in later) or axes)


def _index(spec: ParameterSpec, layer: int, axes: tuple[tuple[str, int], ...]) -> Int[np.ndarray, "unit feature"]:
  whole = np.arange(spec.size)
  arrays = ((whole[spec.slices[name]].reshape(spec.shape(name)), axis) for name, axis in axes)
  units = spec.hidden_layers[layer].units
  return np.concatenate([np.moveaxis(array, axis, 0).reshape(units, -1) for array, axis in arrays], axis=1)


def _permutation(similarity: Float[np.ndarray, "unit unit"]) -> Int[np.ndarray, "unit"]:
  """Of each unit of a reference (row) the unit that is it, all different, their similarities as large as can be."""
  return linear_sum_assignment(similarity, maximize=True)[1]


def aligned(
  spec: ParameterSpec, theta: Float[np.ndarray, "parameter"], reference: Float[np.ndarray, "parameter"]
) -> Float[np.ndarray, "parameter"]:
  """The same network with its hidden units in the order that brings it nearest to `reference`, in L2.

  The Hungarian method, exact for one hidden layer. For more, a layer after
  another until nothing moves (Ainsworth et al. 2023, algorithm 1), which is the
  nearest that was found.
  """
  theta = np.array(theta)
  layers = range(len(spec.hidden_layers))
  if len(layers) > 1:
    for layer in layers:
      index, own = unit_index(spec, layer), _own_index(spec, layer)
      theta[index] = theta[index[_permutation(reference[own] @ theta[own].T)]]
  for _ in range(_ROUNDS if len(layers) > 1 else 1):
    moved = False
    for layer in layers:
      index = unit_index(spec, layer)
      permutation = _permutation(reference[index] @ theta[index].T)
      theta[index] = theta[index[permutation]]
      moved |= bool((permutation != np.arange(len(permutation))).any())
    if not moved:
      break
  return theta


class Nearest(NamedTuple):
  index: Int[np.ndarray, "net"]  # of the reference
  distance: Float[np.ndarray, "net"]


def nearest(
  spec: ParameterSpec,
  theta: Float[np.ndarray, "net parameter"],
  references: Float[np.ndarray, "reference parameter"],
  itself: Int[np.ndarray, "net"] | None = None,
) -> Nearest:
  """Of each network the reference that is nearest once aligned; `itself` names one that does not count.

  Exact over one hidden layer. Over more, the nearest of the 64 references whose
  first layers, matched alone, are nearest: a copy is among them whatever its order.
  """
  if len(spec.hidden_layers) > 1:
    first = _matched(theta, references, _own_index(spec, 0))
  else:
    first = distances(spec, theta, references)
  if itself is not None:
    first[np.arange(len(theta)), itself] = np.inf
  if len(spec.hidden_layers) <= 1:
    index = np.argmin(first, axis=1)
    return Nearest(index, first[np.arange(len(theta)), index])
  short = np.argsort(first, axis=1)[:, : min(_SHORTLIST, np.isfinite(first).sum(axis=1).min())]
  away = np.array([distances(spec, one[None], references[row])[0] for one, row in zip(theta, short)])
  best = np.argmin(away, axis=1)
  return Nearest(short[np.arange(len(theta)), best], away[np.arange(len(theta)), best])


def distances(
  spec: ParameterSpec, theta: Float[np.ndarray, "net parameter"], references: Float[np.ndarray, "reference parameter"]
) -> Float[np.ndarray, "net reference"]:
  """L2 between networks as `aligned` lays them upon each other."""
  if not spec.hidden_layers:
    return np.sqrt(_squares(theta, references))
  if len(spec.hidden_layers) > 1:
    return np.array([[np.linalg.norm(aligned(spec, one, r) - r) for r in references] for one in theta], np.float32)
  index = unit_index(spec, 0)
  rest = np.setdiff1d(np.arange(spec.size), index)
  return np.sqrt(_matched(theta, references, index) ** 2 + _squares(theta[:, rest], references[:, rest]))


def _matched(
  theta: Float[np.ndarray, "net parameter"],
  references: Float[np.ndarray, "reference parameter"],
  index: Int[np.ndarray, "unit feature"],
) -> Float[np.ndarray, "net reference"]:
  """L2 over the units of one layer, matched; good to a thousandth of a network's norm."""
  size = max(1, _PAIRS // len(theta))
  blocks = np.split(references, range(size, len(references), size))
  return np.concatenate([_matched_block(theta, block, index) for block in blocks], axis=1)


def _matched_block(
  theta: Float[np.ndarray, "net parameter"],
  references: Float[np.ndarray, "reference parameter"],
  index: Int[np.ndarray, "unit feature"],
) -> Float[np.ndarray, "net reference"]:
  """The similarities of all units of all pairs are one matrix product."""
  units, features = index.shape
  product = references[:, index].reshape(-1, features) @ theta[:, index].reshape(-1, features).T
  similarity = product.reshape(len(references), units, len(theta), units).transpose(2, 0, 1, 3)
  matched = np.empty(similarity.shape[:2])
  for place in np.ndindex(*matched.shape):
    pair = similarity[place]
    matched[place] = pair[linear_sum_assignment(pair, maximize=True)].sum()
  inside = np.sum(theta[:, index] ** 2, axis=(1, 2))[:, None] + np.sum(references[:, index] ** 2, axis=(1, 2))[None]
  return np.sqrt(np.maximum(inside - 2 * matched, 0)).astype(np.float32)


def _squares(a: Float[np.ndarray, "a parameter"], b: Float[np.ndarray, "b parameter"]) -> Float[np.ndarray, "a b"]:
  """Squared distances of all pairs."""
  squares = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1)[None] - 2 * a @ b.T
  return np.maximum(squares, 0)
