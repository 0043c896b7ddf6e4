"""Statistics are those of the pairs that training draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.corpus.pairs import PROMPTED_QUANTILES, PairsConfig, Runs, is_record, pair_source
from g_pt.corpus.split import Census
from g_pt.corpus.statistics import measure_statistics
from g_pt.parameters import HiddenLayer, ParameterSpec
from g_pt.tasks.base import Metric

RUNS, CHECKPOINTS = 41, 7
SHAPES = {"bias": (2,), "kernel": (3, 2)}
SPEC = ParameterSpec.of(
  {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in SHAPES.items()},
  (HiddenLayer(2, (("bias", 0), ("kernel", 1))),),
)
CENSUS = Census(41, 3, 6, 5, CHECKPOINTS, 0.25)
METRIC = Metric(label="loss", higher_is_better=False, best_prompt=0.0)
KEY = jax.random.key(0)


def measured(theta, metric, directions=0, key=KEY, **config):
  config = PairsConfig(**config)
  source = pair_source(Runs(theta.astype(np.float32), metric.astype(np.float32)), METRIC, config)
  return measure_statistics(source, SPEC, config, CENSUS, directions, key)


@pytest.fixture(scope="module")
def walks():
  """theta of runs that walk: checkpoint c is the first plus c, so that an update is a whole number."""
  rng = np.random.default_rng(1)
  first = np.concatenate([rng.normal(0, 1, (RUNS, 2)), rng.normal(0, 0.1, (RUNS, 6))], axis=1)
  return first[:, None] + np.arange(CHECKPOINTS)[:, None] * np.float32([1] * 2 + [0.01] * 6)


@pytest.fixture(scope="module")
def losses():
  """A loss that falls from 2.3 fast, so that high losses are rare; with noise, so that not each is a record."""
  falling = 2.3 * np.exp(-np.arange(CHECKPOINTS))
  return falling + np.random.default_rng(0).uniform(0, 0.3, (RUNS, CHECKPOINTS))


def test_standard_deviations_are_of_starts_and_of_updates(walks):
  """Where all metrics are alike every target but the first is as likely, and every start before it."""
  units = measured(walks, np.ones((RUNS, CHECKPOINTS))).units
  pairs = [(start, target) for target in range(1, CHECKPOINTS) for start in range(target)]
  weight = np.array([1 / target for _, target in pairs]) / (CHECKPOINTS - 1)
  gap = np.array([target - start for start, target in pairs])
  update = np.sqrt(weight @ gap**2 - (weight @ gap) ** 2)
  assert units.update_std["bias"] == pytest.approx(update, rel=0.05)
  assert units.update_std["kernel"] == pytest.approx(0.01 * update, rel=0.05)
  starts = np.array([start for start, _ in pairs])
  starts, first = weight @ starts**2 - (weight @ starts) ** 2, walks[:, 0]
  assert units.start_std["bias"] == pytest.approx(np.sqrt(starts + first[:, :2].var()), rel=0.05)
  assert units.start_std["kernel"] == pytest.approx(np.sqrt(1e-4 * starts + first[:, 2:].var()), rel=0.05)


def test_where_all_pairs_start_at_initial_networks_so_do_the_statistics(walks, losses):
  units = measured(walks, losses, initial_fraction=1.0).units
  assert units.start_std["bias"] == pytest.approx(walks[:, 0, :2].std(), rel=0.05)
  assert units.start_std["kernel"] == pytest.approx(walks[:, 0, 2:].std(), rel=0.05)
  assert measured(walks, losses).units.start_std["bias"] > 1.2 * walks[:, 0, :2].std()


def test_the_range_of_starts_is_that_of_the_starts_that_are_drawn(walks, losses):
  """Where all targets are as likely, every checkpoint but the last of each run is a start of some pair."""
  found = measured(walks, np.ones((RUNS, CHECKPOINTS))).start_range
  starts = np.float32(walks[:, :-1]).reshape(-1, SPEC.size)
  assert found.low == found.high == 1
  for name, part in SPEC.slices.items():
    assert found.size[name] == pytest.approx(np.sqrt(np.square(starts[:, part]).mean(axis=1).max()))
  found = measured(walks, losses, initial_fraction=1.0).start_range
  assert found.high == pytest.approx(losses[:, 0].max()) and found.low == pytest.approx(losses[:, 0].min())


def share_below(values, weight, bound):
  return weight[values < bound].sum() / weight.sum()


@pytest.mark.parametrize(
  "config",
  [{"weighting": "metric", "bins": 8}, {"weighting": "metric", "bins": 8, "records": True}, {"weighting": "uniform"}],
  ids=["metric", "records", "uniform"],
)
def test_the_prompt_range_is_quantiles_of_the_targets_that_are_drawn(config):
  rng = np.random.default_rng(2)
  losses = np.float32(2.3 * np.exp(-np.linspace(0, 3, 50)) + rng.uniform(0, 0.3, (200, 50)))
  theta = np.zeros((200, 50, SPEC.size))
  low, high = measured(theta, losses, **config).prompt_range
  values = losses[:, 1:].ravel()
  if config["weighting"] == "uniform":  # target k is reached by spacings 1 to k, each as likely
    of_target = [sum(1 / (50 - spacing) for spacing in range(1, k + 1)) for k in range(1, 50)]
    weight = np.tile(of_target, 200)
  else:
    source = pair_source(Runs(np.float32(theta), losses), METRIC, PairsConfig(**config))
    weight = np.zeros(values.size)
    for start, count in zip(source.targets.bin_start.tolist(), source.targets.bin_count.tolist()):
      weight[source.targets.by_metric[start : start + count]] = 1 / count
    if config.get("records"):
      assert (weight[~is_record(losses, METRIC).ravel()] == 0).all()
  assert share_below(values, weight, low) == pytest.approx(0.005, abs=0.0015)
  assert share_below(values, weight, high) == pytest.approx(0.995, abs=0.0015)
  # The corpus's own quantiles are others.
  whole = np.quantile(values, PROMPTED_QUANTILES)
  assert abs(share_below(values, weight, whole[0]) - 0.005) + abs(share_below(values, weight, whole[1]) - 0.995) > 0.003


def test_sizes_are_root_mean_squares_and_shared_by_hidden_units(walks, losses):
  size = measured(walks, losses).units.update_size
  assert {name: array.shape for name, array in size.items()} == {"bias": (1,), "kernel": (3, 1)}
  units = measured(walks, losses).units
  # All entries of an array move alike here: the mean square is the variance and the square of the mean.
  assert size["bias"][0] > units.update_std["bias"]
  np.testing.assert_allclose(size["kernel"], size["bias"][0] * 0.01, rtol=1e-4)


def test_which_hidden_unit_is_which_plays_no_part(walks, losses):
  plain, permuted = (measured(walks, losses, permute=permute) for permute in (False, True))
  jax.tree.map(np.testing.assert_array_equal, plain, permuted)


def test_directions_are_of_the_drawn_updates(walks, losses):
  units = measured(walks, losses, directions=1).units
  (direction,) = units.directions["kernel"].T
  np.testing.assert_allclose(np.abs(direction), 3**-0.5, rtol=1e-3)
  whole = measured(walks, losses).units
  # Every input moves alike: along the one direction there is all of it.
  np.testing.assert_allclose(units.update_size["kernel"], 3**0.5 * whole.update_size["kernel"][:1], rtol=1e-3)


def test_the_key_alone_decides_and_the_census_is_as_given(walks, losses):
  first, again, other = (measured(walks, losses, key=key) for key in (KEY, KEY, jax.random.key(1)))
  jax.tree.map(np.testing.assert_array_equal, first, again)
  assert first.units.update_std["bias"] != other.units.update_std["bias"]
  assert first.census == CENSUS
