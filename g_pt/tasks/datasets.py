"""Images and labels, as host arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence
import hashlib
import importlib.util
import os
from pathlib import Path
import tempfile
from typing import Any, NamedTuple
import zipfile

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num, UInt8
import numpy as np

from g_pt import logs, progress
from g_pt.errors import UserError

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
  those of the training images. What `data_dir` (None: TFDS's own folder) does
  not hold, TFDS downloads to it. Images are decoded once: the arrays are kept
  beside the data, or in the user's cache where that cannot be written to.
  Raises UserError where the set cannot be had, naming the command that fetches
  it, and where it is of another kind.
  """
  builder = _prepared(name, data_dir)
  image, label = _features(builder)
  arrays = _cached(builder, lambda: _decode(builder, image, label))
  train, test = (Examples(arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in ("train", "test"))
  own = (arrays["mean"], arrays["std"])
  scale = (255 * np.asarray(y if x is None else x, np.float32) for x, y in zip((mean, std), own))
  return Images(train, *halves(test), *scale)


def tfds_image_shape(name: str) -> tuple[tuple[int, ...], int]:
  """Shape of an image [row column channel] and number of classes, without any data.

  Raises UserError where TFDS has no such set, or one of another kind.
  """
  import tensorflow_datasets as tfds

  try:
    builder = tfds.builder(name, file_format="array_record")
  except tfds.core.registered.DatasetNotFoundError:
    raise UserError(f"data set {name!r}: TFDS knows none of that name") from None
  except (ImportError, ValueError) as error:  # sets that cannot do without TensorFlow, or names that are none
    raise UserError(f"data set {name!r}: {_one_line(error)}") from None
  image, label = _features(builder)
  return builder.info.features[image].shape, builder.info.features[label].num_classes


def _prepared(name: str, data_dir: str | None) -> Any:
  """TFDS's builder of the set, downloaded where need be."""
  import tensorflow_datasets as tfds

  where = "" if data_dir is None else f"data_dir={str(data_dir)!r}, "
  command = (
    f'pip install tensorflow && python -c "import tensorflow_datasets as tfds; '
    f"tfds.builder({name!r}, {where}file_format='array_record').download_and_prepare()\""
  )
  try:
    builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
  except tfds.core.registered.DatasetNotFoundError:
    raise UserError(f"data set {name!r}: TFDS knows none of that name") from None
  if builder.is_prepared():
    return builder
  missing = f"data set {name!r} is not in {builder.data_path.parent.parent}"
  # TFDS reads without TensorFlow, but encodes images with it.
  if importlib.util.find_spec("tensorflow") is None:
    raise UserError(f"{missing}; to fetch it, once and with a network: {command}")
  try:
    builder.download_and_prepare()
  except Exception as error:  # whatever a network, a disk or a server may come up with
    raise UserError(f"{missing} and cannot be fetched ({_one_line(error)}); with a network: {command}") from error
  return builder


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


def _decode(builder: Any, image: str, label: str) -> dict[str, np.ndarray]:
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
  mean, std = _moments(arrays["train_images"])
  return arrays | {"mean": mean, "std": std}


def _moments(
  images: UInt8[np.ndarray, "example ... channel"],
) -> tuple[Float[np.ndarray, "channel"], Float[np.ndarray, "channel"]]:
  """Mean and standard deviation of each channel, black 0 and white 1."""
  channels = images.reshape(-1, images.shape[-1]).T
  share = np.stack([np.bincount(channel, minlength=256) for channel in channels]) / channels.shape[1]
  level = np.arange(256) / 255
  mean = share @ level
  return mean, np.sqrt(share @ level**2 - mean**2)


def _fingerprint(builder: Any) -> str:
  """Changes with the files of the prepared set."""
  folder = Path(builder.data_path)
  files = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(folder.glob("*record*"))]
  return hashlib.sha256(repr((str(folder.resolve()), files)).encode()).hexdigest()[:16]


def _cached(builder: Any, decode: Any) -> dict[str, np.ndarray]:
  """The decoded arrays, from a file where there is a sound one."""
  file = f"g_pt-{_fingerprint(builder)}.npz"
  user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "g_pt"
  places = [Path(builder.data_path) / file, user_cache / f"{builder.name}-{builder.version}-{file}"]
  for place in places:
    try:
      with place.open("rb") as file, np.load(file) as arrays:
        return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
      continue  # none, or a broken one: it is made again
  arrays = decode()
  for place in places:
    try:
      _write(place, arrays)
      break
    except OSError:
      continue  # without a place, each start decodes
  return arrays


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
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
