"""Images and labels, as host arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence
import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num
import numpy as np

from g_pt import logs, progress
from g_pt.compilation_cache import user_cache
from g_pt.errors import UserError
from g_pt.tasks import downloads, kept, sources

Pixels = Num[Array | np.ndarray, "example ..."]


class Examples(NamedTuple):
  images: Pixels
  labels: Int[Array | np.ndarray, "example"]


PerChannel = Float[Array | np.ndarray, "channel"] | None


def scaled(images: Pixels, mean: PerChannel, std: PerChannel) -> Float[Array | np.ndarray, "example ..."]:
  """(image - mean) / std, channel by channel; None: the images as they are."""
  if mean is None or std is None:
    return images
  along = (1,) * (images.ndim - 1) + (-1,)
  return (images.astype(np.float32) - mean.reshape(along)) * (1 / std.reshape(along))


class Images(NamedTuple):
  """Training images, and two parts of the others: see g_pt.tasks.base.PARTS."""

  train: Examples
  recorded: Examples
  final: Examples
  mean: PerChannel = None  # as `scaled` takes them
  std: PerChannel = None

  def inputs(self, images: Pixels) -> Float[Array, "example ..."]:
    """Images as a network takes them."""
    return jnp.asarray(scaled(images, self.mean, self.std))


class Judged(NamedTuple):
  """What networks are measured on; the numbers are named after the split."""

  splits: dict[str, Examples]
  mean: PerChannel
  std: PerChannel

  def inputs(self, images: Pixels) -> Float[Array, "example ..."]:
    """Images as a network takes them."""
    return jnp.asarray(scaled(images, self.mean, self.std))


def halves(examples: Examples) -> tuple[Examples, Examples]:
  """Two halves, by one fixed shuffle; of an odd number the second has one more."""
  order = np.random.RandomState(0).permutation(len(examples.labels))
  first, second = np.split(order, [len(order) // 2])
  return Examples(examples.images[first], examples.labels[first]), Examples(
    examples.images[second], examples.labels[second]
  )


def digits(data_dir: str | None = None) -> Images:
  """scikit-learn's 8x8 handwritten digits (UCI), 64 pixels an image: 80 % train, the rest halved, by fixed shuffles.

  They ship inside the package: `data_dir` is not used.
  """
  from sklearn.datasets import load_digits

  del data_dir
  images, labels = load_digits(return_X_y=True)
  train, test = np.split(np.random.RandomState(0).permutation(len(labels)), [len(labels) * 4 // 5])
  mean, std = images[train].mean(), images[train].std()

  def examples(index):
    return Examples(((images[index] - mean) / std).astype(np.float32), labels[index].astype(np.int32))

  return Images(examples(train), *halves(examples(test)))


def tfds_images(
  name: str,
  data_dir: str | None = None,
  mean: Sequence[float] | None = None,
  std: Sequence[float] | None = None,
) -> Images:
  """An image-classification set of TFDS, by its name: uint8 images of one size, its split `test` halved.

  Networks see pixels (0 to 1) less `mean` by `std`, of each channel; None:
  those of the training images. Images are those that `keep_files` kept, or else
  what TFDS has prepared in `data_dir` (None: its own folder), or else they are
  fetched: MNIST, its kin and CIFAR-10 from where TFDS has them, without
  TensorFlow; others by TFDS, with it. They are decoded once, see `_arrays`.
  Raises UserError where the set cannot be had, saying what to do, and where it
  is of another kind.
  """
  arrays = _arrays(_builder(name, data_dir), data_dir)
  train, test = (Examples(arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in ("train", "test"))
  own = (arrays["mean"], arrays["std"])
  scale = (255 * np.asarray(y if x is None else x, np.float32) for x, y in zip((mean, std), own))
  return Images(train, *halves(test), *scale)


def keep_files(name: str, place: Path, data_dir: str | None = None) -> str:
  """Keeps the images in files (see `sources.read`) as those of TFDS's set of that name: `tfds_images` then gives them.

  Says in one line what is kept where. Raises UserError where they are of
  another kind or cannot be kept.
  """
  builder = _builder(name, data_dir)
  kept_in, images = _kept_in(builder, data_dir), sources.read(place, *_shape_and_classes(builder))
  _keep(kept_in, images)
  train, test = (f"{len(images[f'{split}_labels']):,}" for split in ("train", "test"))
  return f"{name}: {train} training and {test} test images of {place}, kept in {kept_in} until that is removed"


def tfds_image_shape(name: str) -> tuple[tuple[int, ...], int]:
  """Shape of an image [row column channel] and number of classes, without any data.

  Raises UserError where TFDS has no such set, or one of another kind.
  """
  return _shape_and_classes(_builder(name, None))


def _shape_and_classes(builder: Any) -> tuple[tuple[int, ...], int]:
  image, label = _features(builder)
  return builder.info.features[image].shape, builder.info.features[label].num_classes


def _builder(name: str, data_dir: str | None) -> Any:
  """TFDS's builder of the set, whether it is there or not."""
  import tensorflow_datasets as tfds

  try:
    return tfds.builder(name, data_dir=data_dir, file_format="array_record")
  except tfds.core.registered.DatasetNotFoundError:
    raise UserError(f"data set {name!r}: TFDS knows none of that name") from None
  except (ImportError, ValueError) as error:  # sets that cannot do without TensorFlow, or names that are none
    raise UserError(f"data set {name!r}: {_one_line(error)}") from None


def _arrays(builder: Any, data_dir: str | None) -> kept.Arrays:
  """Images and labels of the splits, and the moments of the training images.

  What was not prepared by TFDS is kept in a folder g_pt of `data_dir`, or of
  the user's caches, where it stays; arrays of what was, beside it, or in the
  user's cache where that cannot be written to.
  """
  image, label = _features(builder)
  place = _kept_in(builder, data_dir)
  if found := kept.read(place):
    return found
  with logs.warnings_kept_back():  # of what is missing
    prepared = builder.is_prepared()
  if not prepared:
    if files := _known_files(builder):
      return _fetched(builder, files, place)
    _prepare(builder, data_dir)
  name = f"{builder.name}-{builder.version}"
  return kept.beside(Path(builder.data_path), name, lambda: _decode(builder, image, label))


def _kept_in(builder: Any, data_dir: str | None) -> Path:
  folder = (user_cache() if data_dir is None else Path(data_dir)) / "g_pt"
  return folder / f"{builder.info.full_name.replace('/', '-')}.npz"


def _keep(place: Path, images: kept.Arrays) -> kept.Arrays:
  arrays = kept.with_moments(images)
  try:
    kept.write(place, arrays)
  except OSError as error:
    raise UserError(f"{place} cannot be written ({_one_line(error)})") from None
  return arrays


def _known_files(builder: Any) -> dict[str, downloads.Remote]:
  """Where the set's files are, by TFDS's list; empty where `sources` does not know their form."""
  infos = (builder.url_infos or {}).items()
  listed = {info.filename: downloads.Remote(url, int(info.size), info.checksum) for url, info in infos}
  for names in (tuple(f"{name}.gz" for name in sources.IDX), (sources.CIFAR10,)):
    if all(name in listed for name in names):
      return {name: listed[name] for name in names}
  return {}


def _fetched(builder: Any, files: dict[str, downloads.Remote], place: Path) -> kept.Arrays:
  """Downloads the files to a folder beside `place`, where they stay, and keeps what is in them."""
  folder = place.with_suffix("")
  try:
    downloads.fetch(files, folder)
  except UserError as error:
    without = f"without a network, --data_from=FOLDER takes {', '.join(files)} from there"
    raise UserError(f"data set {builder.name!r} is not in {builder.data_path}, and {error}; {without}") from None
  return _keep(place, sources.read(folder, *_shape_and_classes(builder)))


def _prepare(builder: Any, data_dir: str | None) -> None:
  """Downloads the set by TFDS, which reads without TensorFlow, but encodes images with it."""
  where = "" if data_dir is None else f"data_dir={str(data_dir)!r}, "
  fetch = (
    f'pip install tensorflow && python -c "import tensorflow_datasets as tfds; '
    f"tfds.builder({builder.name!r}, {where}file_format='array_record').download_and_prepare()\""
  )
  missing = f"data set {builder.name!r} is not in {builder.data_path.parent.parent}"
  command = f"{fetch}; or start with --data_from=FOLDER, its images as NumPy files"
  if importlib.util.find_spec("tensorflow") is None:
    raise UserError(f"{missing}; to fetch it, once and with a network: {command}")
  try:
    builder.download_and_prepare()
  except Exception as error:  # whatever a network, a disk or a server may come up with
    raise UserError(f"{missing} and cannot be fetched ({_one_line(error)}); with a network: {command}") from error


def _one_line(error: Exception) -> str:
  return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _features(builder: Any) -> tuple[str, str]:
  """Names of the image and the label. Raises UserError where the set is of another kind."""
  import tensorflow_datasets as tfds

  def only(kind):
    names = [name for name, feature in builder.info.features.items() if isinstance(feature, kind)]
    return names[0] if len(names) == 1 else None

  image, label = only(tfds.features.Image), only(tfds.features.ClassLabel)
  splits = set(builder.info.splits) or {"train", "test"}  # none are known before the set is there
  if image is None or label is None or not {"train", "test"} <= splits:
    raise UserError(
      f"data set {builder.name!r}: one image, one label and the splits train and test are needed, "
      f"it has {', '.join(builder.info.features)} in {', '.join(sorted(splits))}"
    )
  feature = builder.info.features[image]
  if None in feature.shape or feature.np_dtype != np.uint8:
    kind = f"{feature.shape}, {feature.np_dtype}"
    raise UserError(f"data set {builder.name!r}: images of one size and of bytes are needed, not {kind}")
  return image, label


def _decode(builder: Any, image: str, label: str) -> kept.Arrays:
  arrays = {}
  for split in ("train", "test"):
    source = builder.as_data_source(split=split)
    images = np.empty((len(source), *builder.info.features[image].shape), np.uint8)
    labels = np.empty(len(source), np.int32)
    with logs.warnings_kept_back():
      for i in progress.track(range(len(source)), desc=f"{builder.name} {split}", unit="image", leave=False):
        example = source[i]
        images[i], labels[i] = example[image], example[label]
    arrays |= {f"{split}_images": images, f"{split}_labels": labels}
  return kept.with_moments(arrays)
