"""Other ways to start: what is drawn anew, how widely, and what stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import tasks
from g_pt.parameters.inits import INITS, started

KEY = jax.random.key(1)


@pytest.fixture(scope="module", params=["mnist", "cifar10"])
def case(request):
  """(spec, the task's own initial network)."""
  task = tasks.get(request.param)
  return task.spec, task.spec.flatten(jax.jit(task.network.init)(jax.random.key(0)))


def layers(spec, theta):
  return {name: np.asarray(value) for name, value in spec.layers(theta).items()}


def test_scales_are_of_all_parameters(case):
  spec, own = case
  for init, factor in (("own", 1.0), ("half", 0.5), ("double", 2.0)):
    np.testing.assert_allclose(started(spec, own, init, KEY), factor * own)


@pytest.mark.parametrize(
  ("init", "variance"),
  [
    ("xavier_normal", lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    ("xavier_uniform", lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    ("kaiming_fan_in", lambda fan_in, fan_out: 2 / fan_in),
    ("kaiming_fan_out", lambda fan_in, fan_out: 2 / fan_out),
  ],
)
def test_kernels_are_as_wide_as_the_init_says_and_biases_stay(case, init, variance):
  spec, own = case
  before, after = layers(spec, own), layers(spec, started(spec, own, init, KEY))
  for name, array in after.items():
    if array.ndim == 1:
      np.testing.assert_array_equal(array, before[name])
      continue
    places = int(np.prod(array.shape[:-2]))
    wanted = variance(places * array.shape[-2], places * array.shape[-1])
    assert np.mean(array**2) == pytest.approx(wanted, rel=5 / np.sqrt(array.size)), name


def test_orthogonal_kernels_have_orthonormal_rows_or_columns(case):
  spec, own = case
  for name, array in layers(spec, started(spec, own, "orthogonal", KEY)).items():
    if array.ndim > 1:
      matrix = array.reshape(-1, array.shape[-1])
      matrix = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
      np.testing.assert_allclose(matrix.T @ matrix, np.eye(matrix.shape[1]), atol=1e-5, err_msg=name)


def test_the_key_decides_and_layers_differ(case):
  spec, own = case
  first, again, other = (started(spec, own, "xavier_normal", key) for key in (KEY, KEY, jax.random.key(2)))
  np.testing.assert_array_equal(first, again)
  assert not np.allclose(first, other)
  assert all(jnp.isfinite(started(spec, own, init, KEY)).all() for init in INITS)


def test_an_unknown_init_is_named(case):
  with pytest.raises(ValueError, match="init: unknown 'lecun'; it is one of: own, half, double, xavier_normal"):
    started(*case, "lecun", KEY)
