"""A corpus of many data sets is measured by its largest changes, and by each metric's range among what is drawn."""


import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.corpus.family_statistics import changes, measure_family_statistics
from g_pt.corpus.pairs import PairsConfig
from g_pt.corpus.split import Census
from g_pt.parameters.units import DIFFUSED_STD
from tests.train.family_test import CHECKPOINTS, SETS, generator_of, source_of, task_of

CENSUS = Census(12, 3, 3, 0, CHECKPOINTS, 0.2)
NAMES = ("test_loss", "test_error")


@pytest.fixture(scope="module")
def spec_and_source(toy):
  generator = generator_of(task_of(toy))
  return generator.spec, source_of(generator)


@pytest.fixture(scope="module")
def found(spec_and_source):
  spec, source = spec_and_source
  return measure_family_statistics(source, spec, NAMES, PairsConfig(bins=4), CENSUS, jax.random.key(0))


def test_the_largest_changes_come_to_one_size(spec_and_source, found):
  """From the first checkpoint to those of the last two thirds."""
  spec, source = spec_and_source

  def change(number, later):
    theta, told = source.theta[number], jax.tree.map(lambda x: x[number, 0], source.told)
    return changes(spec, jnp.asarray(theta[:, later]), jnp.asarray(theta[:, 0]), told)

  kinds = [change(number, later) for number in range(SETS) for later in (1, 2, 4)]
  every = jax.tree.map(lambda *each: np.concatenate(each), *kinds)
  scaled = jax.tree.map(lambda x, size: x / size[None], every, found.scale)
  for kind in (scaled.edge[..., 0], scaled.edge[..., 1], scaled.edge[..., 2], scaled.unit[..., 0], scaled.output):
    assert np.sqrt(np.mean(np.square(kind))) == pytest.approx(DIFFUSED_STD, rel=1e-3)


def test_ranges_are_of_each_metric_and_statistics_of_one(spec_and_source, found):
  _, source = spec_and_source
  for number, name in enumerate(NAMES):
    earlier, targets = source.values[:, number, :, :-1], source.values[:, number, :, 1:]
    prompts, starts = found.prompt_ranges[name], found.start_ranges[name]
    assert targets.min() <= prompts.low < prompts.high <= targets.max()
    assert prompts.low < np.quantile(targets, 0.05) and prompts.high > np.quantile(targets, 0.95)
    assert (starts.low, starts.high) == (earlier.min(), earlier.max())
    assert found.by(name).prompt_range == prompts and found.by(name).start_range == starts


def test_what_is_never_drawn_bounds_no_prompt(spec_and_source):
  spec, source = spec_and_source
  values, share = source.values.copy(), source.share.copy()
  values[0, :, 0, :] = 50.0
  weights = np.diff(share, prepend=0).reshape(*share.shape[:2], -1, CHECKPOINTS - 1)
  weights[0, :, 0] = 0
  share = np.cumsum(weights.reshape(share.shape), axis=2)
  other = source._replace(values=values, share=(share / share[:, :, -1:]).astype(np.float32))
  found = measure_family_statistics(other, spec, NAMES, PairsConfig(bins=4), CENSUS, jax.random.key(0))
  assert found.prompt_ranges["test_loss"].high < 3
