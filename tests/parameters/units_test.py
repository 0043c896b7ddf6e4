"""The units of diffusion: a round trip, one standard deviation for every array, and what they are measured on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.parameters.symmetry import permutation_index
from g_pt.parameters.units import DIFFUSED_STD, VARIABLES, UnitStatistics, make_units, measure_units

PAIRS = 700


@pytest.fixture(scope="module")
def spec(mlp_spec):
  return mlp_spec(7, 5, 3, 2)


@pytest.fixture(scope="module")
def statistics(spec):
  """Every array has a scale of its own, and its updates another."""
  std = {name: np.array(0.1 * (i + 1), np.float32) for i, name in enumerate(spec.names)}
  return UnitStatistics(std, {name: value / 7 for name, value in std.items()})


@pytest.fixture(scope="module")
def pairs(spec, statistics):
  """(start, target) of independent networks and updates, as large as `statistics` says."""
  start, update = np.random.default_rng(0).normal(size=(2, PAIRS, spec.size)).astype(np.float32)
  start = start * spec.repeated(statistics.start_std)[None]
  return start, start + update * spec.repeated(statistics.update_std)[None]


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("scale", [0.0, 4.0])
def test_what_is_encoded_is_decoded(spec, statistics, variable, scale):
  start, target = jax.random.normal(jax.random.key(0), (2, 3, spec.size))
  units = make_units(variable, spec, statistics, scale)
  np.testing.assert_allclose(units.decode(units.encode(target, start), start), target, rtol=1e-5, atol=1e-6)
  assert units.residual == (variable == "parameters")


@pytest.mark.parametrize("variable", VARIABLES)
def test_each_array_is_diffused_at_the_paper_s_standard_deviation(spec, pairs, variable):
  start, target = map(jnp.asarray, pairs)
  units = make_units(variable, spec, measure_units(spec, *pairs))
  seen = units.start(start)
  # Parameters are scaled by the standard deviation of starts, updates by their own.
  x0 = units.encode(start if variable == "parameters" else target, start)
  for name, part in spec.slices.items():
    np.testing.assert_allclose(seen[:, part].std(), DIFFUSED_STD, rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(x0[:, part].std(), DIFFUSED_STD, rtol=1e-4, err_msg=name)


def test_standard_deviations_are_of_starts_and_of_updates(spec, statistics, pairs):
  measured = measure_units(spec, *pairs)
  for name in spec.names:
    np.testing.assert_allclose(measured.start_std[name], statistics.start_std[name], rtol=0.1)
    np.testing.assert_allclose(measured.update_std[name], statistics.update_std[name], rtol=0.1)
  assert not measured.directions


def test_a_scale_multiplies_every_parameter(spec, statistics):
  theta, zero = jnp.ones((1, spec.size)), jnp.zeros((1, spec.size))
  for variable in VARIABLES:
    units = make_units(variable, spec, statistics, 4.0)
    np.testing.assert_allclose(units.start(theta), 4.0, rtol=1e-6)
    np.testing.assert_allclose(units.encode(theta, zero), 4.0, rtol=1e-6)


def test_hidden_units_share_the_size_of_their_updates(spec):
  """Weight [i, j] of an array moves by (i + 1) (j + 1): what lies along a hidden layer is averaged in the square."""
  update = np.ones((1, spec.size), np.float32)
  for name, part in spec.slices.items():
    outer = np.prod(np.meshgrid(*(np.arange(1, n + 1) for n in spec.shape(name)), indexing="ij"), axis=0)
    update[:, part] = outer.ravel()
  update = update * np.array([[1.0], [-1.0]], np.float32)
  sizes = measure_units(spec, np.zeros_like(update), update).update_size
  rms = {n: np.sqrt(np.mean(np.arange(1, n + 1) ** 2)) for n in (5, 3)}
  np.testing.assert_allclose(sizes["layer_0/kernel"], np.arange(1, 8)[:, None] * rms[5], rtol=1e-5)
  np.testing.assert_allclose(sizes["layer_0/bias"], [rms[5]], rtol=1e-5)
  np.testing.assert_allclose(sizes["layer_1/kernel"], [[rms[5] * rms[3]]], rtol=1e-5)
  np.testing.assert_allclose(sizes["layer_2/kernel"], rms[3] * np.arange(1, 3)[None], rtol=1e-5)
  np.testing.assert_allclose(sizes["layer_2/bias"], [1, 2], rtol=1e-5)


def test_the_size_is_that_of_the_diffused_variable_and_knows_no_unit(spec, pairs):
  start, target = map(jnp.asarray, pairs)
  for variable in VARIABLES:
    units = make_units(variable, spec, measure_units(spec, *pairs))
    x0 = units.encode(target, start) - (units.start(start) if units.residual else 0.0)
    for name, part in spec.slices.items():
      mean_square = jnp.mean(units.size[part] ** 2)
      np.testing.assert_allclose(mean_square, jnp.mean(x0[:, part] ** 2), rtol=1e-4, err_msg=name)
    index = permutation_index(spec, [jnp.array([4, 2, 0, 1, 3]), jnp.array([2, 0, 1])])
    np.testing.assert_array_equal(units.size[index], units.size)


def test_without_sizes_there_is_none(spec, statistics):
  assert make_units("update", spec, statistics).size is None


def test_arrays_that_never_move_divide_nothing_by_zero(spec, statistics):
  still = dict.fromkeys(spec.names, np.array(0.0, np.float32))
  units = make_units("update", spec, UnitStatistics(statistics.start_std, still, still))
  theta = jnp.ones((2, spec.size))
  assert np.isfinite(units.encode(theta, theta)).all()
  np.testing.assert_array_equal(units.decode(units.encode(theta, theta), theta), theta)
  assert (units.size > 0).all() and np.isfinite(units.size).all()


@pytest.mark.parametrize("directions", [0, 2])
def test_statistics_come_back_from_a_file_s_arrays(spec, pairs, directions):
  """Names of arrays hold the character that parts them from the field."""
  measured = measure_units(spec, *pairs, directions)
  assert bool(measured.directions) == bool(directions)
  back = UnitStatistics.from_arrays({path: np.asarray(array) for path, array in measured.to_arrays().items()})
  for field in UnitStatistics._fields:
    found, wanted = getattr(back, field), getattr(measured, field)
    assert set(found) == set(wanted)
    for name in wanted:
      np.testing.assert_array_equal(found[name], wanted[name])
      assert found[name].dtype == np.float32


def test_what_units_cannot_be_is_named(spec, statistics):
  with pytest.raises(ValueError, match="^variable: unknown 'gradient'; it is one of: parameters, update$"):
    make_units("gradient", spec, statistics)
