"""Films as files: every frame, in its colours, at its pace."""

import io
import subprocess

import imageio_ffmpeg
import numpy as np
from PIL import Image
import pytest

from g_pt.report import film
from g_pt.report.base import Film


@pytest.fixture
def blocks():
  """Seven frames of odd sides in a few colours, no two frames alike."""
  rng = np.random.default_rng(0)
  colours = np.asarray([[0, 0, 0], [255, 255, 255], [200, 60, 0], [10, 80, 140]], np.uint8)
  frames = colours[rng.integers(0, 4, (7, 5, 7))].repeat(9, axis=1).repeat(9, axis=2)
  return Film(frames, "Blocks", "blocks that change")


def shown(content):
  image = Image.open(io.BytesIO(content))
  frames, durations = [], []
  for i in range(image.n_frames):
    image.seek(i)
    frames.append(np.asarray(image.convert("RGB")))
    durations.append(image.info["duration"])
  return np.stack(frames), durations, image.info


def test_a_gif_holds_every_frame_in_its_own_colours_and_loops(blocks):
  frames, durations, info = shown(film.gif(blocks))
  np.testing.assert_array_equal(frames, blocks.frames)
  assert durations == [80] * 7 and info["loop"] == 0


def test_more_colours_than_a_gif_has_come_near():
  ramp = np.linspace(0, 255, 64).astype(np.uint8)
  every = np.stack(np.meshgrid([0, 128], ramp, ramp, indexing="ij"), axis=-1).astype(np.uint8)
  frames, _, _ = shown(film.gif(Film(every, "Ramp", "all of two channels")))
  assert np.abs(frames.astype(int) - every).mean() < 8


def test_a_large_film_leaves_out_frames_and_keeps_its_length(blocks):
  whole = film.gif(blocks)
  frames, durations, _ = shown(film.gif(blocks, largest=len(whole) - 1))
  np.testing.assert_array_equal(frames, blocks.frames[::2])
  assert durations == [160] * 4
  assert len(shown(film.gif(blocks, largest=0))[0]) == 2


def test_an_mp4_holds_every_frame_with_even_sides(blocks, tmp_path):
  file = tmp_path / "film.mp4"
  file.write_bytes(film.mp4(blocks))
  command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(file), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
  done = subprocess.run(command, capture_output=True, check=True)
  assert b"h264" in done.stderr and b"yuv420p" in done.stderr and b"12.50 fps" in done.stderr
  frames = np.frombuffer(done.stdout, np.uint8).reshape(7, 46, 64, 3)
  assert np.abs(frames[:, :45, :63].astype(int) - blocks.frames).mean() < 12


def test_the_same_film_is_the_same_file(blocks):
  assert film.mp4(blocks) == film.mp4(blocks) and film.gif(blocks) == film.gif(blocks)


def test_text_and_progress_stand_below_each_frame(blocks):
  marked = film.with_text(blocks.frames, [f"frame {i}" for i in range(7)])
  np.testing.assert_array_equal(marked[:, :45], blocks.frames)
  strips = marked[:, 45:]
  reached = (strips[:, 9] == (230, 126, 34)).all(axis=-1).sum(axis=1)
  assert (np.diff(reached) > 0).all() and reached[-1] == 63
  text = strips[:, 14:]
  assert all((text[i] != text[i + 1]).any() for i in range(6))
  assert (text != np.asarray(film.GROUND, np.uint8)).any(axis=(1, 2, 3)).all()
