"""Updates along principal directions: nothing is lost that lies along them, and the symmetry stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.parameters import HiddenLayer, ParameterSpec
from g_pt.parameters.directions import Reduction, principal_directions
from g_pt.parameters.symmetry import permutation_index, random_permutations
from g_pt.parameters.units import UnitStatistics, make_units

# A convolution with its channels last, a wide output layer with its units first, and what has no wide side.
SHAPES = {
  "conv/kernel": (3, 3, 2, 4),
  "conv/bias": (4,),
  "edge/kernel": (4, 5),
  "out/kernel": (5, 20),
  "out/bias": (20,),
}
HIDDEN = (
  HiddenLayer(4, (("conv/kernel", 3), ("conv/bias", 0), ("edge/kernel", 0))),
  HiddenLayer(5, (("edge/kernel", 1), ("out/kernel", 0))),
)
COUNT = 6


@pytest.fixture(scope="module")
def spec():
  return ParameterSpec.of({name: jnp.zeros(shape) for name, shape in SHAPES.items()}, HIDDEN)


def low_rank(spec, seed, number=40, rank=COUNT):
  """Updates whose wide layers are combinations of `rank` vectors, the later the smaller."""
  rng = np.random.default_rng(seed)
  updates = rng.normal(size=(number, spec.size)).astype(np.float32)
  vectors = np.random.default_rng(0)
  for name, units, axis in (("conv/kernel", 4, 3), ("out/kernel", 5, 0)):
    shape = spec.shape(name)
    inputs = int(np.prod(shape)) // units
    basis = vectors.normal(size=(inputs, rank)) * 0.7 ** np.arange(rank)
    rows = np.einsum("ik,nku->niu", basis, rng.normal(size=(number, rank, units)))
    rest = [n for i, n in enumerate(shape) if i != axis]
    updates[:, spec.slices[name]] = np.moveaxis(rows.reshape(number, *rest, units), -1, axis + 1).reshape(number, -1)
  return updates


def test_wide_layers_alone_have_directions_and_they_are_orthonormal(spec):
  basis = principal_directions(spec, low_rank(spec, 1), COUNT)
  assert {name: columns.shape for name, columns in basis.items()} == {"conv/kernel": (18, 6), "out/kernel": (20, 6)}
  for columns in basis.values():
    np.testing.assert_allclose(columns.T @ columns, np.eye(COUNT), atol=1e-5)
  assert principal_directions(spec, low_rank(spec, 1), 20) == {}


def test_what_lies_along_the_directions_survives_the_round_trip(spec):
  reduction = Reduction.of(spec, principal_directions(spec, low_rank(spec, 1), COUNT))
  assert reduction.reduced.size == 6 * 4 + 4 + 20 + 6 * 5 + 20
  others = jnp.asarray(low_rank(spec, 2))
  np.testing.assert_allclose(reduction.expand(reduction.reduce(others)), others, atol=1e-4)


def test_the_first_directions_are_the_greatest(spec):
  updates = low_rank(spec, 1)
  reduction = Reduction.of(spec, principal_directions(spec, updates, COUNT))
  reduced = np.asarray(reduction.reduce(jnp.asarray(updates)))
  part = reduced[:, reduction.reduced.slices["out/kernel"]].reshape(-1, COUNT, 5)
  assert (np.diff((part**2).mean(axis=(0, 2))) < 0).all()
  fewer = Reduction.of(spec, principal_directions(spec, updates, 2))
  lost = [np.square(r.expand(r.reduce(jnp.asarray(updates))) - updates).sum() for r in (reduction, fewer)]
  assert lost[0] < 1e-3 * lost[1]


def test_permuting_units_commutes_with_the_reduction(spec):
  reduction = Reduction.of(spec, principal_directions(spec, low_rank(spec, 1), COUNT))
  permutations = random_permutations(spec, jax.random.key(0))
  vectors = jnp.asarray(np.random.default_rng(3).normal(size=(2, spec.size)).astype(np.float32))
  before = reduction.reduce(vectors[:, permutation_index(spec, permutations)])
  after = reduction.reduce(vectors)[:, permutation_index(reduction.reduced, permutations)]
  np.testing.assert_allclose(before, after, atol=1e-6)


def test_an_update_of_zero_leaves_what_is_beside_the_directions(spec):
  basis = principal_directions(spec, low_rank(spec, 1), COUNT)
  std = dict.fromkeys(spec.names, np.array(0.3, np.float32))
  statistics = UnitStatistics(std, std, directions=basis)
  units = make_units("update", spec, statistics)
  theta = jnp.asarray(np.random.default_rng(4).normal(size=(2, spec.size)).astype(np.float32))
  np.testing.assert_allclose(units.decode(jnp.zeros((2, units.spec.size)), theta), theta, atol=1e-6)
  target = theta + jnp.asarray(low_rank(spec, 5, number=2))
  np.testing.assert_allclose(units.decode(units.encode(target, theta), theta), target, atol=1e-4)
  with pytest.raises(ValueError, match="^directions: parameters are diffused whole"):
    make_units("parameters", spec, statistics)


def test_directions_of_other_networks_are_refused(spec):
  with pytest.raises(ValueError, match=r"directions of 7 inputs do not fit out/kernel of \(5, 20\)"):
    Reduction.of(spec, {"out/kernel": np.zeros((7, 2), np.float32)})
