"""Image sets in the files that their authors give away, or in NumPy's, as arrays.

A set lies in a folder, in one of these forms, each file as it is or as .gz:

  IDX (MNIST and its kin)   train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, ...
  CIFAR-10, binary          data_batch_1.bin to data_batch_5.bin, test_batch.bin
  CIFAR-10, Python          data_batch_1 to data_batch_5, test_batch
  NumPy                     x_train.npy, y_train.npy, x_test.npy, y_test.npy

CIFAR-10's may lie in cifar-10-batches-bin or -py or their archive (cifar-10-binary.tar.gz, cifar-10-python.tar.gz)
in that folder, NumPy's in one .npz.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import gzip
import hashlib
import io
import math
from pathlib import Path
import pickle
import tarfile
from typing import Any, NamedTuple
import zipfile
import zlib

import numpy as np

from g_pt.errors import UserError
from g_pt.tasks.kept import Arrays

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR10 = "cifar-10-binary.tar.gz"
_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
_SIDE = 32  # of CIFAR-10's images, which are rows of red, then of green, then of blue

_BROKEN = (
  *(OSError, EOFError, ValueError, KeyError, TypeError, IndexError),
  *(zlib.error, tarfile.TarError, zipfile.BadZipFile, pickle.PickleError),
)


def _idx(content: bytes) -> tuple[np.ndarray, ...]:
  """One array of bytes: its header has two zeros, 8, the number of dimensions, and the length of each."""
  if content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
    raise ValueError("not an IDX file of bytes")
  shape = np.frombuffer(content, ">u4", content[3], offset=4).tolist()
  there_are = len(content) - 4 - 4 * len(shape)
  if there_are != math.prod(shape):
    raise ValueError(f"{there_are:,} bytes of data, its header says {math.prod(shape):,}")
  return (np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape),)


def _images(rows: np.ndarray) -> np.ndarray:
  return rows.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)


def _cifar_binary(content: bytes) -> tuple[np.ndarray, ...]:
  """Images and labels: of each image a byte, its label, and its pixels."""
  size = 1 + 3 * _SIDE**2
  if not content or len(content) % size:
    raise ValueError(f"{len(content):,} bytes are not whole images of {size:,}")
  rows = np.frombuffer(content, np.uint8).reshape(-1, size)
  return _images(rows[:, 1:]), rows[:, 0]


class _Batch(pickle.Unpickler):
  """Reads a pickle of arrays, and nothing that could do anything."""

  _KNOWN = {"ndarray": np.ndarray, "dtype": np.dtype, "_reconstruct": np.empty(0).__reduce__()[0]}

  def find_class(self, module: str, name: str) -> Any:
    if module.partition(".")[0] == "numpy" and name in self._KNOWN:
      return self._KNOWN[name]
    if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes for Python 2
      return super().find_class(module, name)
    raise pickle.UnpicklingError(f"{module}.{name} has no place in a batch of images")


def _cifar_python(content: bytes) -> tuple[np.ndarray, ...]:
  batch = _Batch(io.BytesIO(content), encoding="bytes").load()
  return _images(np.asarray(batch[b"data"])), np.asarray(batch[b"labels"])


def _npy(content: bytes) -> tuple[np.ndarray, ...]:
  return (np.load(io.BytesIO(content), allow_pickle=False),)


class _Form(NamedTuple):
  """Files of a set; images and labels take turns in what they hold, those for testing last."""

  name: str
  files: tuple[str, ...]
  arrays: Callable[[bytes], tuple[np.ndarray, ...]]  # of one file; one of _BROKEN where it is another


_FORMS = (
  _Form("IDX", IDX, _idx),
  _Form("CIFAR-10's binary", tuple(f"{name}.bin" for name in _BATCHES), _cifar_binary),
  _Form("CIFAR-10's Python", _BATCHES, _cifar_python),
  _Form("NumPy", ("x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy"), _npy),
)
_FILES = frozenset(file for form in _FORMS for file in form.files)


def read(place: Path, shape: tuple[int, ...], classes: int) -> Arrays:
  """The set in a folder or an .npz: uint8 images of `shape` [row column channel], int32 labels.

  Files are taken to have their images in the order of the authors; arrays are
  in the order that TFDS gives these, so that halves of the test images are the
  same whichever way a set came. Raises UserError, naming the file, where one is
  missing or broken, or where images or labels are of another kind.
  """
  if not place.exists():
    raise UserError(f"{place}: no such file or folder")
  try:
    contents = dict(_contents(place))
  except _BROKEN as error:
    raise UserError(f"{place}: {_one_line(error)}") from None
  form = _form_of(contents, place)
  arrays = [array for file in form.files for array in _arrays(form, file, contents[file], place)]
  train = np.concatenate(arrays[:-2:2]), np.concatenate(arrays[1:-2:2])
  found = {}
  for split, (images, labels) in {"train": train, "test": arrays[-2:]}.items():
    images, labels = _checked(images, labels, shape, classes, f"{place}, {split}")
    order = tfds_order(split, len(labels))
    found |= {f"{split}_images": images[order], f"{split}_labels": labels[order]}
  return found


def tfds_order(split: str, count: int) -> list[int]:
  """Places of a split's examples as TFDS writes them down: by the hash of the split and the example's number."""

  def digest(number: int) -> bytes:
    return hashlib.md5(f"{split}{number}".encode(), usedforsecurity=False).digest()

  return sorted(range(count), key=digest)


def _contents(place: Path) -> Iterator[tuple[str, bytes]]:
  """Name and content of every file of a set that is there, see above."""
  if place.is_file():
    with zipfile.ZipFile(place) as archive:
      yield from ((name, archive.read(name)) for name in archive.namelist() if name in _FILES)
    return
  for file in (*place.iterdir(), *place.glob("cifar-10-batches-*/*")):
    if file.name.removesuffix(".gz") in _FILES:
      yield file.name.removesuffix(".gz"), file.read_bytes()
  for file in place.glob("cifar-10-*.tar.gz"):
    with tarfile.open(file) as archive:
      for member in archive:
        if (name := Path(member.name).name) in _FILES and (content := archive.extractfile(member)):
          yield name, content.read()


def _form_of(contents: dict[str, bytes], place: Path) -> _Form:
  """The form that is there whole."""
  missing = {form: [file for file in form.files if file not in contents] for form in _FORMS}
  for form in _FORMS:
    if not missing[form]:
      return form
  for form in _FORMS:
    if len(missing[form]) < len(form.files):
      raise UserError(f"{place}: {', '.join(missing[form])} is missing beside {form.name} files that are there")
  first = "; ".join(f"{form.name} ({form.files[0]}, ...)" for form in _FORMS)
  raise UserError(f"{place}: no images in files of a known form: {first}")


def _arrays(form: _Form, file: str, content: bytes, place: Path) -> tuple[np.ndarray, ...]:
  try:
    return form.arrays(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
  except _BROKEN as error:
    raise UserError(f"{place}, {file}: {_one_line(error)}") from None


def _checked(
  images: np.ndarray, labels: np.ndarray, shape: tuple[int, ...], classes: int, where: str
) -> tuple[np.ndarray, np.ndarray]:
  """Images with their channel, int32 labels; UserError where they are not what they should be."""
  if images.ndim == 3:
    images = images[..., None]
  if images.dtype != np.uint8 or images.shape[1:] != shape:
    there_is = f"images of {images.shape[1:]}, {images.dtype}"
    raise UserError(f"{where}: {there_is}; {shape}, uint8, is needed")
  labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
  if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != len(images):
    raise UserError(f"{where}: a whole number is needed for each of {len(images):,} images, not {labels.shape}")
  there = np.unique(labels).tolist()
  if not there or min(there) < 0 or max(there) != classes - 1:
    raise UserError(f"{where}: labels of {classes} classes are needed, 0 to {classes - 1}; there are {there[:20]}")
  return images, labels.astype(np.int32)


def _one_line(error: BaseException) -> str:
  return " ".join(f"{type(error).__name__}: {error}".split())[:200]
