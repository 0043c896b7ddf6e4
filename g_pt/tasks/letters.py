"""Capital letters A to J, drawn from the outline fonts of a machine: a data set of another kind than photographs.

Families of fonts are apart: one in five is for test. Debian's packages named
`fonts-*` have hundreds. Which fonts a machine has decides what the data set is: with
a number on it, say how many fonts and families there were.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
import zlib

from jaxtyping import UInt8
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from g_pt import progress
from g_pt.errors import UserError
from g_pt.tasks.datasets import Examples, Images, halves

LETTERS = "ABCDEFGHIJ"
FOLDER = "/usr/share/fonts"
SIDE, _DRAWN, _MARGIN = 32, 96, 1.15  # pixels of an image and of a letter as it is drawn, frame around it
_LEAST = 20  # families


class Font(NamedTuple):
  family: str
  images: UInt8[np.ndarray, "letter side side"]


def letters(folder: str | Path | None = None) -> Images:
  """Of all fonts below a folder (None: FOLDER) with these letters; UserError where they are of too few families."""
  fonts = list(_fonts(Path(folder or FOLDER)))
  families = {font.family for font in fonts}
  if len(families) < _LEAST:
    found = f"fonts of {len(families)} families with the letters {LETTERS[0]} to {LETTERS[-1]}"
    raise UserError(f"{folder or FOLDER}: {found}, at least {_LEAST} are needed; Debian's packages fonts-* have more")

  def part(test: bool) -> Examples:
    chosen = [font for font in fonts if (zlib.crc32(font.family.encode()) % 5 == 0) == test]
    labels = np.tile(np.arange(len(LETTERS), dtype=np.int32), len(chosen))
    return Examples(np.concatenate([font.images for font in chosen]), labels)

  return Images(part(False), *halves(part(True)))


def _fonts(folder: Path) -> Iterator[Font]:
  """Each once, whatever files it is in; those that have no letters, or the same picture for two, are left out."""
  files = sorted(file for kind in ("ttf", "otf") for file in folder.rglob(f"*.{kind}"))
  seen = set()
  for file in progress.track(files, desc="letters", unit="font", leave=False):
    try:
      font = ImageFont.truetype(file, _DRAWN)
      images = np.stack([_drawn(font, letter) for letter in LETTERS])
    except (OSError, ValueError):
      continue  # no outlines, or none of these letters
    if len({image.tobytes() for image in images}) == len(LETTERS) and images.tobytes() not in seen:
      seen.add(images.tobytes())
      yield Font(str(font.getname()[0]), images)


def _drawn(font: ImageFont.FreeTypeFont, letter: str) -> UInt8[np.ndarray, "side side"]:
  """White on black, in the middle, as large as the frame takes; ValueError where nothing is drawn."""
  left, top, right, bottom = font.getbbox(letter)
  width, height = right - left, bottom - top
  if min(width, height) < 1:
    raise ValueError("nothing is drawn")
  frame = round(_MARGIN * max(width, height))
  image = Image.new("L", (frame, frame))
  place = (frame - width) / 2 - left, (frame - height) / 2 - top
  ImageDraw.Draw(image).text(place, letter, fill=255, font=font)
  return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))
