"""Arrays of images in files, so that they are decoded once."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import os
from pathlib import Path
import tempfile
import zipfile

from jaxtyping import Float, UInt8
import numpy as np

from g_pt.compilation_cache import user_cache

Arrays = dict[str, np.ndarray]  # train_images, train_labels, test_images, test_labels, and what else is kept of them


def read(path: Path) -> Arrays | None:
  """None where there is no such file, or a broken one."""
  try:
    with path.open("rb") as file, np.load(file) as arrays:
      return dict(arrays)
  except (OSError, ValueError, EOFError, zipfile.BadZipFile):
    return None


def write(path: Path, arrays: Arrays) -> None:
  """Writes the whole file or none of it. Raises OSError where it may not."""
  path.parent.mkdir(parents=True, exist_ok=True)
  if not path.parent.stat().st_mode & 0o222:
    raise PermissionError(f"{path.parent} is read-only")  # for root, too, who could
  with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
    try:
      np.savez(file, allow_pickle=False, **arrays)
      file.close()
      os.chmod(file.name, 0o644)  # the data may be many people's
      os.replace(file.name, path)
    except BaseException:
      Path(file.name).unlink(missing_ok=True)
      raise


def beside(folder: Path, name: str, decode: Callable[[], Arrays]) -> Arrays:
  """The decoded arrays of a prepared set, from a sound file in its folder, or in the user's cache, or else made.

  `name` is that of the set and its version.
  """
  file = f"g_pt-{_fingerprint(folder)}.npz"
  places = folder / file, user_cache() / "g_pt" / f"{name}-{file}"
  for place in places:
    if found := read(place):
      return found
  arrays = decode()
  for place in places:
    try:
      write(place, arrays)
      break
    except OSError:
      continue  # without a place, each start decodes
  return arrays


def _fingerprint(folder: Path) -> str:
  """Changes with the files of the prepared set."""
  files = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(folder.glob("*record*"))]
  return hashlib.sha256(repr((str(folder.resolve()), files)).encode()).hexdigest()[:16]


def with_moments(arrays: Arrays) -> Arrays:
  """With the mean and standard deviation of each channel of the training images, black 0 and white 1."""
  mean, std = _moments(arrays["train_images"])
  return arrays | {"mean": mean, "std": std}


def _moments(
  images: UInt8[np.ndarray, "example ... channel"],
) -> tuple[Float[np.ndarray, "channel"], Float[np.ndarray, "channel"]]:
  channels = images.reshape(-1, images.shape[-1]).T
  share = np.stack([np.bincount(channel, minlength=256) for channel in channels]) / channels.shape[1]
  level = np.arange(256) / 255
  mean = share @ level
  return mean, np.sqrt(share @ level**2 - mean**2)
