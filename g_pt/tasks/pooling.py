"""Images of any size and colour as grey squares of a few pixels."""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float, Num
import numpy as np

_AT_ONCE = 4096  # images, so that whole sets need little memory beside their bytes


def pooled(images: Num[np.ndarray, "example ..."], side: int) -> Float[np.ndarray, "example {side} {side}"]:
  """The mean of what each of `side` x `side` equal parts covers; colours are averaged, black is 0 and white is 1.

  Images are [row, column], [row, column, channel], or flat squares; bytes count
  to 255, other numbers are kept as they are.
  """
  parts = [_pooled(part, side) for part in _parts(images)]
  return np.concatenate(parts) if parts else np.zeros((0, side, side), np.float32)


def _parts(images: np.ndarray) -> Iterator[np.ndarray]:
  return (images[first : first + _AT_ONCE] for first in range(0, len(images), _AT_ONCE))


def _pooled(images: np.ndarray, side: int) -> np.ndarray:
  grey = images.astype(np.float32) / (255.0 if images.dtype == np.uint8 else 1.0)
  if grey.ndim == 2:
    edge = round(grey.shape[1] ** 0.5)
    if edge**2 != grey.shape[1]:
      raise ValueError(f"images: {grey.shape[1]} numbers are no square of pixels")
    grey = grey.reshape(-1, edge, edge)
  if grey.ndim == 4:
    grey = grey.mean(axis=3)
  if grey.ndim != 3:
    raise ValueError(f"images: {images.ndim} axes; wanted: example, row, column and perhaps channel, or example, pixel")
  rows, columns = (shares(size, side) for size in grey.shape[1:])
  return np.einsum("pr,erc,qc->epq", rows, grey, columns, optimize=True).astype(np.float32)


def shares(size: int, parts: int) -> Float[np.ndarray, "{parts} {size}"]:
  """How much of each of `size` pixels in a row lies in each of equal parts, which are the means of what they cover."""
  edges = np.linspace(0, size, parts + 1)
  pixel = np.arange(size)
  covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
  return np.clip(covered, 0, 1) * parts / size
