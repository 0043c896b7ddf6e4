"""Letters are drawn from fonts, whose families are apart in training and test."""

from pathlib import Path
import shutil

import numpy as np
import pytest

from g_pt.errors import UserError
from g_pt.tasks import letters

matplotlib = pytest.importorskip("matplotlib", reason="its fonts are drawn")

FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
LETTER_H = letters.LETTERS.index("H")


@pytest.fixture(scope="module")
def fonts():
  return list(letters._fonts(FOLDER))


def test_each_font_has_ten_letters_that_fill_their_frame(fonts):
  assert {"DejaVu Sans", "DejaVu Serif"} <= {font.family for font in fonts}
  for font in fonts:
    assert font.images.shape == (10, letters.SIDE, letters.SIDE) and font.images.dtype == np.uint8
    if not font.family.startswith("DejaVu"):
      continue  # mathematical ones have frames of their own
    lit = font.images > 30
    tall, wide = (lit.any(axis=axis).sum(axis=1) for axis in (2, 1))
    assert (np.maximum(tall, wide) > 0.7 * letters.SIDE).all()


def test_letters_are_in_the_middle(fonts):
  serif = next(font for font in fonts if font.family == "DejaVu Sans")
  upright = serif.images[LETTER_H].astype(float)
  np.testing.assert_allclose(upright, upright[:, ::-1], atol=80)
  np.testing.assert_allclose(upright.sum(axis=1).argmax(), letters.SIDE / 2, atol=3)


def test_no_picture_is_there_twice_whatever_files_it_is_in(fonts, tmp_path):
  for name in ("one.ttf", "two.ttf"):
    shutil.copy(FOLDER / "DejaVuSans.ttf", tmp_path / name)
  (tmp_path / "broken.ttf").write_bytes(b"no font")
  assert len(list(letters._fonts(tmp_path))) == 1
  assert len({font.images.tobytes() for font in fonts}) == len(fonts)


def test_families_are_apart_in_training_and_test(monkeypatch):
  monkeypatch.setattr(letters, "_LEAST", 2)
  monkeypatch.setattr(letters.zlib, "crc32", lambda name: 0 if b"Serif" in name else 1)
  data = letters.letters(FOLDER)
  train, test = ({image.tobytes() for image in part.images} for part in (data.train, data.final))
  assert not train & test and len(data.train.labels) % 10 == 0 and set(data.train.labels.tolist()) == set(range(10))


def test_too_few_fonts_are_said_with_what_to_do(tmp_path):
  with pytest.raises(UserError, match="fonts of 0 families with the letters A to J, at least 20 are needed; Debian's"):
    letters.letters(tmp_path)
