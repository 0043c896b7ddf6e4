"""Data sets that are drawn are of classes of their sources, apart in training and test, and follow from their key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.errors import ConfigError
from g_pt.tasks import mixes
from g_pt.tasks.datasets import Examples, Images

SIDE, SIZES = 4, mixes.Sizes(classes=3, train=20, test=6)
KEYS = jax.random.split(jax.random.key(0), 40)


def source(first, classes, each=12):
  """Images of a class are alike: one bright pixel, its own, on a ramp; those of test are half as bright."""
  labels = np.repeat(np.arange(classes), each)
  bright = np.tile(np.linspace(0, 0.2, SIDE * SIDE), (len(labels), 1))
  bright[np.arange(len(labels)), first + labels] = 1.0
  images = np.float32(bright)
  part = Examples(images, labels.astype(np.int32))
  return Images(part, *(Examples(x.images / 2, x.labels) for x in (part, part)))


@pytest.fixture(scope="module")
def sources():
  return mixes.sources_of([source(0, 3), source(3, 5), source(8, 2)], SIDE)


@pytest.fixture(scope="module")
def drawn(sources):
  """40 data sets, one behind the other."""
  return jax.jit(jax.vmap(lambda key: mixes.draw(SIZES, sources, key)))(KEYS)


def test_sources_stand_one_after_another(sources):
  assert sources.first.tolist() == [0, 3, 8] and sources.classes.tolist() == [3, 5, 2]
  assert sources.train.count.tolist() == [12] * 10 and sources.test.count.tolist() == [24] * 10
  brightest = sources.train.images.reshape(10, 12, -1).argmax(axis=2)
  np.testing.assert_array_equal(brightest, np.tile(np.arange(10)[:, None], 12))


def test_a_data_set_has_its_sizes_and_its_scale(drawn):
  assert drawn.train.images.shape == (40, 60, 16) and drawn.recorded.images.shape == drawn.final.images.shape
  assert drawn.final.images.shape == (40, 9, 16)
  np.testing.assert_allclose(drawn.train.images.mean(axis=(1, 2)), 0, atol=1e-5)
  np.testing.assert_allclose(drawn.train.images.std(axis=(1, 2)), 1, rtol=1e-4)
  assert (np.bincount(np.asarray(drawn.train.labels[0])) == 20).all()


def test_each_is_of_one_source_or_a_mix_and_each_source_is_met(sources):
  drawn = jax.vmap(lambda key: mixes._classes(sources, 3, key))(jax.random.split(jax.random.key(1), 500))
  relatives = np.asarray(drawn.relatives)
  assert 0.15 < relatives.mean() < 0.25
  chosen, views = (np.asarray(x)[~relatives] for x in drawn[:2])
  assert all(len(set(row)) == 3 for row in chosen.tolist())
  of = np.searchsorted(sources.first, chosen, side="right") - 1
  whole = (of == of[:, :1]).all(axis=1)
  viewed = (np.asarray(views) > 0).any(axis=1)
  assert 0.35 < whole.mean() < 0.65 and not (viewed & ~whole).any() and 0.15 < viewed.mean() < 0.35
  assert set(of[whole, 0]) == {0, 1}  # the third has too few classes to be one alone
  assert set(of[~whole].ravel()) == {0, 1, 2}
  assert {tuple(row) for row in chosen[(of == 0).all(axis=1)].tolist()} > {(0, 1, 2), (2, 1, 0)}


def test_relatives_are_a_few_classes_each_several_times(sources):
  drawn = jax.vmap(lambda key: mixes._classes(sources, 9, key))(jax.random.split(jax.random.key(1), 200))
  ancestors = {len(set(row)) for row in np.asarray(drawn.classes)[np.asarray(drawn.relatives)].tolist()}
  assert ancestors <= set(range(1, 8)) and max(ancestors) > 4


def test_relatives_of_one_class_are_warped_each_in_its_own_way(sources, monkeypatch):
  """Were they not, all images of the class would be alike."""
  classes = jnp.array([4, 4, 4])

  def distinct(relatives):
    drawn = mixes.Drawn(classes, jnp.zeros_like(classes), jnp.bool_(relatives))
    monkeypatch.setattr(mixes, "_classes", lambda *_: drawn)
    return len(np.unique(np.round(mixes.draw(SIZES, sources, KEYS[1]).train.images, 3), axis=0))

  assert (distinct(False), distinct(True)) == (1, 3)


def test_training_and_test_images_are_of_different_pools(sources):
  """Nothing of the pool `test` moves what is drawn of `train`, and nothing of `train` is among the test images."""
  dark = sources._replace(test=sources.test._replace(images=np.zeros_like(sources.test.images)))
  one, other = (mixes.draw(SIZES, pools, KEYS[0]) for pools in (sources, dark))
  np.testing.assert_array_equal(one.train.images, other.train.images)
  assert len(np.unique(other.final.images)) == 1 and len(np.unique(one.final.images)) > 1


def test_a_data_set_follows_from_its_key(sources, drawn):
  again = jax.jit(lambda key: mixes.draw(SIZES, sources, key))(KEYS[7])
  np.testing.assert_allclose(again.train.images, drawn.train.images[7], atol=1e-5)
  assert len(np.unique(np.round(drawn.train.images[:, 0], 3), axis=0)) > 30


def test_views_are_the_eight_of_a_square():
  image = jnp.arange(9.0).reshape(1, 3, 3)
  seen = {tuple(np.asarray(mixes._viewed(image, jnp.int32(view))).ravel()) for view in range(mixes.VIEWS)}
  assert len(seen) == 8
  np.testing.assert_array_equal(mixes._viewed(image, jnp.int32(0)), image)
  np.testing.assert_array_equal(mixes._viewed(image, jnp.int32(1))[0], np.rot90(image[0]))


def test_more_classes_than_a_source_has_are_of_several(sources):
  """Each drawn of another order, and none of a source as it is."""
  sizes = SIZES._replace(classes=8)
  drawn = jax.jit(jax.vmap(lambda key: mixes._classes(sources, 8, key)))(KEYS)
  assert np.asarray(drawn.classes).shape == (len(KEYS), 8) and (np.asarray(drawn.views) == 0).all()
  alone = ~np.asarray(drawn.relatives)
  assert {len(set(row)) for row in np.asarray(drawn.classes)[alone].tolist()} == {8}
  assert len({tuple(row) for row in np.asarray(drawn.classes).tolist()}) > len(KEYS) // 2
  assert np.isfinite(mixes.draw(sizes, sources, KEYS[0]).train.images).all()


def test_too_few_classes_are_told_of(sources):
  mixes.check(sources, SIZES)
  with pytest.raises(ConfigError, match="classes: 11 are wanted, and the sources have 10"):
    mixes.check(sources, SIZES._replace(classes=11))
