"""Images and labels, as host arrays in memory."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Float, Int
import numpy as np


class Examples(NamedTuple):
  images: Float[Array, "example ..."]  # normalised
  labels: Int[Array, "example"]


class Images(NamedTuple):
  train: Examples
  test: Examples


def digits(data_dir: str | None = None) -> Images:
  """scikit-learn's 8x8 handwritten digits (UCI), 64 pixels an image; 80 % train, 20 % test by one fixed shuffle.

  They ship inside the package: `data_dir` is not used.
  """
  from sklearn.datasets import load_digits

  del data_dir
  images, labels = load_digits(return_X_y=True)
  train, test = np.split(np.random.RandomState(0).permutation(len(labels)), [len(labels) * 4 // 5])
  mean, std = images[train].mean(), images[train].std()

  def examples(index):
    return Examples(((images[index] - mean) / std).astype(np.float32), labels[index].astype(np.int32))

  return Images(examples(train), examples(test))
