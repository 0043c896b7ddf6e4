"""Pooling keeps the mean of what it covers, whatever the size of the images."""

import numpy as np
import pytest

from g_pt.tasks.pooling import pooled, shares


@pytest.mark.parametrize(("size", "parts"), [(28, 8), (32, 8), (8, 8), (5, 8), (28, 28), (33, 8)])
def test_parts_share_all_pixels_equally(size, parts):
  share = shares(size, parts)
  np.testing.assert_allclose(share.sum(axis=1), 1)
  np.testing.assert_allclose(share.sum(axis=0), parts / size)


def test_blocks_are_averaged_and_sizes_kept():
  images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
  wanted = images.reshape(3, 8, 4, 8, 4, 3).mean(axis=(2, 4, 5)) / 255
  np.testing.assert_allclose(pooled(images, 8), wanted, rtol=1e-5)
  small = np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)
  np.testing.assert_allclose(pooled(small, 8), small.reshape(5, 8, 8), rtol=1e-6)


def test_an_image_keeps_its_mean_where_pixels_are_cut():
  images = np.random.default_rng(2).random((4, 28, 28), np.float32)
  np.testing.assert_allclose(pooled(images, 8).mean(axis=(1, 2)), images.mean(axis=(1, 2)), rtol=1e-5)


def test_many_images_are_pooled_part_by_part_and_none_is_none():
  images = np.random.default_rng(3).integers(0, 256, (4100, 6, 6), np.uint8)
  np.testing.assert_allclose(pooled(images, 3)[4095:], pooled(images[4095:], 3))
  assert pooled(images[:0], 3).shape == (0, 3, 3)


def test_what_is_no_image_is_refused():
  with pytest.raises(ValueError, match="images: 50 numbers are no square of pixels"):
    pooled(np.zeros((2, 50)), 8)
  with pytest.raises(ValueError, match="images: 5 axes; wanted: example, row, column and perhaps channel"):
    pooled(np.zeros((2, 3, 4, 5, 6)), 8)
