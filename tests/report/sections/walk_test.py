"""A walk through networks: its film, drawn and told."""

import numpy as np
import pytest

from g_pt.report import film
from g_pt.report.sections import walk

BLUE, WHITE, ORANGE = (11, 79, 138), (255, 255, 255), (168, 67, 0)


def test_each_tile_has_one_scale_in_all_frames():
  """Weak filters are seen, and a filter that grows does so in the film."""
  tiles = np.asarray([[1.0, 0.001], [-2.0, 0.002]]).reshape(2, 2, 1, 1, 1)
  colours = walk.coloured(tiles)[:, :, 0, 0]
  assert tuple(colours[1, 0]) == BLUE and tuple(colours[1, 1]) == ORANGE
  np.testing.assert_array_equal(colours[0, 0], colours[0, 1])  # both at half of their scale
  assert tuple(colours[0, 0]) not in (BLUE, ORANGE, WHITE)


def test_probabilities_have_their_own_range():
  tiles = np.asarray([0.5, 1.0, 0.0, 0.25]).reshape(1, 1, 2, 2, 1)
  (first, second), (third, _) = walk.coloured(tiles)[0, 0]
  assert (tuple(first), tuple(second), tuple(third)) == (WHITE, ORANGE, BLUE)
  half = walk.coloured(0.5 * tiles)  # no tile of probabilities is stretched
  assert tuple(half[0, 0, 0, 1]) == WHITE


def test_three_channels_are_red_green_and_blue():
  tiles = np.zeros((1, 1, 1, 2, 3))
  tiles[0, 0, 0, 0] = 4.0, -4.0, 0.0
  colours = walk.coloured(tiles)[0, 0, 0]
  assert tuple(colours[0]) == (255, 0, 128) and tuple(colours[1]) == (128, 128, 128)


def test_a_tile_of_zeros_is_white():
  mixed = np.zeros((1, 2, 1, 1, 1))
  mixed[0, 0] = -1.0  # no probabilities
  assert tuple(walk.coloured(mixed)[0, 1, 0, 0]) == WHITE


@pytest.mark.parametrize("shape", [(3, 10, 8, 8), (1, 1, 41, 41), (2, 16, 3, 3), (1, 3, 1, 10), (1, 2, 600, 600)])
def test_a_grid_shows_every_tile_with_whole_pixels(shape):
  rng = np.random.default_rng(0)
  tiles = rng.integers(100, 256, (*shape, 3)).astype(np.uint8)  # brighter than the ground
  frames = walk.grid(tiles)
  side = max(tiles.shape[2:4])
  assert max(frames.shape[1:3]) <= max(480 + 4 * shape[1], 2 * side + 4)
  drawn = (frames != np.asarray(film.GROUND, np.uint8)).all(axis=-1)
  times = np.sqrt(drawn[0].sum() / np.prod(shape[1:]))
  assert times == round(times) >= 1
  # Of each tile all pixels are there, as squares.
  colours, count = np.unique(frames[0][drawn[0]], axis=0, return_counts=True)
  assert len(colours) == len(np.unique(tiles[0].reshape(-1, 3), axis=0)) and (count % round(times) ** 2 == 0).all()


def test_tiles_stand_in_reading_order():
  tiles = np.arange(100, 104, dtype=np.uint8).reshape(1, 4, 1, 1, 1).repeat(3, axis=-1)
  frame = walk.grid(tiles)[0, :, :, 0]
  assert (frame[0, 0], frame[0, -1], frame[-1, 0], frame[-1, -1]) == (100, 101, 102, 103)


def test_the_film_has_a_frame_for_each_network_and_its_metric_beside_it(pictured, found, view, arrays):
  section = walk.section(found("walk"), view)
  assert section.film.frames.shape[0] == 6 and section.film.title == "First-layer filters"
  assert "first-layer filters, one a hidden unit" in section.caption and "Blue weights are negative" in section.caption
  (figure,) = section.figures.values()
  recorded, final = figure.data
  np.testing.assert_array_equal(recorded.x, np.arange(1, 7))
  np.testing.assert_allclose(recorded.y, arrays["walk"]["metric.recorded"])
  np.testing.assert_allclose(final.y, arrays["walk"]["metric.final"])


def test_the_table_has_the_range_of_the_metric(pictured, found, view):
  (table,) = walk.tables(found("walk"), view)
  assert table.rows == (
    ("frames", "6"),
    ("test loss (nats), lowest", "0.0713"),
    ("test loss (nats), mean", "0.0800"),
    ("test loss (nats), highest", "0.0887"),
  )
