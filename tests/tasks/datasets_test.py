"""Images through TFDS, on sets that the tests make in TFDS form; the real ones where they are on the machine."""

import io
import os
from pathlib import Path
import stat

import numpy as np
import pytest

from g_pt import tasks
from g_pt.errors import UserError
from g_pt.tasks import datasets

tfds = pytest.importorskip("tensorflow_datasets")
Image = pytest.importorskip("PIL.Image")

SIZES = {"train": 12, "test": 5}


def images_of(split, shape):
  rng = np.random.default_rng(len(split))
  return rng.integers(0, 256, (SIZES[split], *shape), np.uint8), np.arange(SIZES[split]) % 10


def png(image):
  buffer = io.BytesIO()
  Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "png")
  return buffer.getvalue()


def varint(value):
  low, high = value & 127, value >> 7
  return bytes([low | 128]) + varint(high) if high else bytes([low])


def field(number, content):
  return varint(number << 3 | 2) + varint(len(content)) + content


def example(image, label):
  """A serialised tf.train.Example of an image and its label."""
  values = {"image": field(1, field(1, png(image))), "label": field(3, field(1, varint(int(label))))}
  entries = [field(1, field(1, name.encode()) + field(2, value)) for name, value in values.items()]
  return field(1, b"".join(entries))


def make(folder, name, shape=(28, 28, 1)):
  """A set of noise in the form, and under the name, of one of TFDS's."""
  from array_record.python.array_record_module import ArrayRecordWriter

  builder = tfds.builder(name, data_dir=folder, file_format="array_record")
  Path(builder.data_path).mkdir(parents=True)
  infos = []
  for split, size in SIZES.items():
    file = f"{name}-{split}.array_record-00000-of-00001"
    writer = ArrayRecordWriter(str(Path(builder.data_path) / file), "group_size:1")
    for image, label in zip(*images_of(split, shape)):
      writer.write(example(image, label))
    writer.close()
    template = tfds.core.ShardedFileTemplate(
      Path(builder.data_path), dataset_name=name, split=split, filetype_suffix="array_record"
    )
    infos.append(tfds.core.SplitInfo(name=split, shard_lengths=[size], num_bytes=1, filename_template=template))
  builder.info.set_splits(tfds.core.SplitDict(infos))
  builder.info.write_to_directory(builder.data_path)
  return Path(builder.data_path)


@pytest.fixture
def home(tmp_path, monkeypatch):
  """The user's cache, empty."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  return tmp_path / "cache"


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist"])
def test_any_image_set_is_a_task_by_its_name(name, tmp_path, home):
  make(tmp_path, name)
  data = tasks.get(name).load(str(tmp_path))
  train, labels = images_of("train", (28, 28, 1))
  np.testing.assert_array_equal(data.train.images, train)
  np.testing.assert_array_equal(data.train.labels, labels)
  images, labels = images_of("test", (28, 28, 1))
  assert len(data.recorded.labels) == 2 and len(data.final.labels) == 3
  # Every image of the test split lies in one of the parts, with its label; no two images are the same.
  found, where = (np.concatenate([getattr(part, field) for part in data[1:3]]) for field in ("images", "labels"))
  index = [int(np.argmax((images == image).all(axis=(1, 2, 3)))) for image in found]
  assert sorted(index) == list(range(5))
  np.testing.assert_array_equal(found, images[index])
  np.testing.assert_array_equal(where, labels[index])
  np.testing.assert_allclose(data.mean, train.mean(), rtol=1e-5)
  np.testing.assert_allclose(data.std, train.std(), rtol=1e-5)
  inputs = data.inputs(data.train.images)
  assert inputs.dtype == np.float32 and abs(inputs.mean()) < 1e-4 and abs(inputs.std() - 1) < 1e-4


def test_colours_are_normalised_one_by_one(tmp_path, home):
  make(tmp_path, "cifar10", (32, 32, 3))
  inputs = (data := tasks.get("cifar10").load(str(tmp_path))).inputs(data.train.images)
  np.testing.assert_allclose(inputs.mean(axis=(0, 1, 2)), 0, atol=1e-4)
  np.testing.assert_allclose(inputs.std(axis=(0, 1, 2)), 1, atol=1e-4)


def test_a_second_start_decodes_nothing(tmp_path, home, monkeypatch):
  folder = make(tmp_path, "kmnist")
  first = datasets.tfds_images("kmnist", str(tmp_path))
  assert len(list(folder.glob("g_pt-*.npz"))) == 1
  monkeypatch.setattr(datasets, "_decode", lambda *_: pytest.fail("decoded again"))
  again = datasets.tfds_images("kmnist", str(tmp_path))
  for field in ("train", "recorded", "final"):
    np.testing.assert_array_equal(getattr(again, field).images, getattr(first, field).images)


def test_a_broken_cache_is_made_again(tmp_path, home):
  folder = make(tmp_path, "kmnist")
  first = datasets.tfds_images("kmnist", str(tmp_path))
  (cache,) = folder.glob("g_pt-*.npz")
  cache.write_bytes(cache.read_bytes()[:1000])
  again = datasets.tfds_images("kmnist", str(tmp_path))
  np.testing.assert_array_equal(again.final.images, first.final.images)


def test_data_that_may_not_be_written_to_is_cached_at_home(tmp_path, home):
  folder = make(tmp_path, "kmnist")
  os.chmod(folder, stat.S_IRUSR | stat.S_IXUSR)
  try:
    datasets.tfds_images("kmnist", str(tmp_path))
    assert not list(folder.glob("g_pt-*"))
  finally:
    os.chmod(folder, 0o755)
  assert len(list((home / "g_pt").iterdir())) == 1


@pytest.mark.filterwarnings("default")
def test_a_set_that_needs_tensorflow_is_named_with_the_command_that_fetches_it(tmp_path, monkeypatch):
  find_spec = datasets.importlib.util.find_spec
  monkeypatch.setattr(datasets.importlib.util, "find_spec", lambda n: None if n == "tensorflow" else find_spec(n))
  fetch = rf"'svhn_cropped' is not in {tmp_path}; .* tfds.builder\('svhn_cropped', data_dir='{tmp_path}'.*--data_from"
  with pytest.raises(UserError, match=fetch):
    tasks.get("svhn_cropped").load(str(tmp_path))


@pytest.mark.parametrize("name", ["no_such_set", "cats_vs_dogs"])
def test_sets_that_cannot_serve_are_refused(name):
  with pytest.raises(ValueError, match=f"unknown task '{name}'.*data set '{name}'"):
    tasks.get(name)


def pixels(examples):
  return {(image.tobytes(), int(label)) for image, label in zip(*examples)}


def test_parts_of_the_digits_are_apart_and_cover_them():
  from sklearn.datasets import load_digits

  data = datasets.digits()
  assert [len(part.labels) for part in data[:3]] == [1437, 180, 180]
  images, labels = load_digits(return_X_y=True)
  assert len(set(map(bytes, images))) == len(images)  # no two are the same
  train, recorded, final = (pixels(part) for part in data[:3])
  assert len(train | recorded | final) == len(images)
  np.testing.assert_array_equal(
    np.bincount(np.concatenate([part.labels for part in data[:3]])), np.bincount(labels)
  )
  # Both halves are of all classes, and the same each time.
  assert np.bincount(data.recorded.labels).min() > 5 and np.bincount(data.final.labels).min() > 5
  again = datasets.digits()
  np.testing.assert_array_equal(again.final.images, data.final.images)


MNIST_LABELS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
REAL = Path(__file__).parents[3] / "shared" / "tensorflow_datasets"


@pytest.mark.skipif(not REAL.exists(), reason="MNIST and CIFAR-10 are not on this machine")
@pytest.mark.parametrize(
  ("name", "shape", "labels"),
  [("mnist", (28, 28, 1), MNIST_LABELS), ("cifar10", (32, 32, 3), 5000)],
)
def test_the_real_sets_are_whole(name, shape, labels):
  data = tasks.get(name).load(str(REAL))
  assert data.train.images.shape == (60_000 if name == "mnist" else 50_000, *shape)
  assert data.recorded.images.shape == data.final.images.shape == (5000, *shape)
  np.testing.assert_array_equal(np.bincount(data.train.labels), np.broadcast_to(labels, 10))
  np.testing.assert_allclose(data.inputs(data.train.images[:5000]).std(), 1, atol=0.05)
