"""Films as files: GIF for the page, MP4 beside it; and the line below each frame."""

from __future__ import annotations

from collections.abc import Sequence
import io
from pathlib import Path
import subprocess
import tempfile

import imageio_ffmpeg
from jaxtyping import UInt8
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from g_pt.report.base import Film

# Told apart from tiles on a light and on a dark page.
GROUND = (29, 33, 38)
_INK, _TRACK, _MARK = (232, 234, 237), (74, 81, 90), (230, 126, 34)
_STRIP = 44  # pixels below a frame
_LARGEST = 5_000_000  # bytes of a GIF in the page
_COLOURS = 256  # of a GIF


def with_text(
  frames: UInt8[np.ndarray, "frame row column 3"], texts: Sequence[str]
) -> UInt8[np.ndarray, "frame row+44 column 3"]:
  """Each frame with a strip below it: how far the film is, and the frame's text."""
  width, font = frames.shape[2], ImageFont.load_default(16)
  strips = []
  for i, text in enumerate(texts):
    strip = Image.new("RGB", (width, _STRIP), GROUND)
    draw = ImageDraw.Draw(strip)
    draw.rectangle((0, 8, width, 11), _TRACK)
    draw.rectangle((0, 8, round(width * (i + 1) / len(texts)), 11), _MARK)
    draw.text((8, 30), text, _INK, font, anchor="lm")
    strips.append(np.asarray(strip))
  return np.concatenate([frames, np.stack(strips)], axis=1)


def gif(film: Film, largest: int = _LARGEST) -> bytes:
  """Loops without end; of a film that is larger, every second frame, for as long as there are two."""
  frames, seconds = _indexed(film.frames), 1 / film.rate
  content = _gif(frames, seconds)
  while len(content) > largest and len(frames) > 2:
    frames, seconds = frames[::2], 2 * seconds
    content = _gif(frames, seconds)
  return content


def mp4(film: Film) -> bytes:
  """H.264 that every browser plays: even sides, one copy of the loop."""
  _, rows, columns, _ = film.frames.shape
  frames = np.pad(film.frames, ((0, 0), (0, rows % 2), (0, columns % 2), (0, 0)), mode="edge")
  size = f"{frames.shape[2]}x{frames.shape[1]}"
  given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(film.rate), "-i", "-"]
  # Bitexact and one thread: the same film is the same file.
  alike = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-threads", "1"]
  wanted = ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-movflags", "+faststart", *alike]
  with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "film.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *given, *wanted, str(file)]
    subprocess.run(command, input=frames.tobytes(), check=True)
    return file.read_bytes()


def _gif(frames: Sequence[Image.Image], seconds: float) -> bytes:
  buffer = io.BytesIO()
  frames[0].save(
    buffer, "GIF", save_all=True, append_images=frames[1:], duration=round(1000 * seconds), loop=0, optimize=False
  )
  return buffer.getvalue()


def _indexed(frames: UInt8[np.ndarray, "frame row column 3"]) -> list[Image.Image]:
  """Images with one palette: the film's own colours where they are few, else the 256 that come nearest."""
  packed = frames.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
  seen = np.zeros(1 << 24, bool)
  seen[packed] = True
  colours = np.flatnonzero(seen)
  own = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.uint8)
  index = np.arange(len(colours), dtype=np.uint8)
  if len(colours) > _COLOURS:
    image = Image.fromarray(own[None]).quantize(_COLOURS, dither=Image.Dither.NONE)
    index, own = np.asarray(image)[0], np.array(image.getpalette(), np.uint8)
  place = np.zeros(1 << 24, np.uint8)
  place[colours] = index
  images = []
  for frame in place[packed]:
    image = Image.fromarray(frame)
    image.putpalette(own.tobytes())  # makes indices of what were greys
    images.append(image)
  return images
