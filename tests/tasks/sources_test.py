"""Sets in files of each known form, and from a server on the loopback, through TFDS's own builders and checksums."""

import functools
import gzip
import hashlib
import http.server
import io
import os
from pathlib import Path
import pickle
import struct
import subprocess
import sys
import tarfile
import threading

import numpy as np
import pytest

from g_pt import fetch, tasks
from g_pt.errors import UserError
from g_pt.tasks import kept, sources

tfds = pytest.importorskip("tensorflow_datasets")
constants = pytest.importorskip("tensorflow_datasets.core.constants")
checksums = pytest.importorskip("tensorflow_datasets.core.download.checksums")
shuffle = pytest.importorskip("tensorflow_datasets.core.shuffle")

GREY, COLOUR = (28, 28, 1), (32, 32, 3)
SPLITS = {"train": "train", "test": "t10k"}
REAL = (Path(__file__).parents[3] / "shared" / "tensorflow_datasets", Path.home() / "tensorflow_datasets")


def noise(shape, train=30, test=15):
  """A set of noise in the order of its authors, by the names of NumPy's files; every class is there."""
  rng = np.random.default_rng(0)
  made = {}
  for split, count in (("train", train), ("test", test)):
    made[f"x_{split}"] = rng.integers(0, 256, (count, *shape), np.uint8)
    made[f"y_{split}"] = rng.permutation(np.arange(count) % 10).astype(np.uint8)
  return made


def idx(array):
  return struct.pack(f">{1 + array.ndim}i", 0x800 + array.ndim, *array.shape) + array.tobytes()


def rows(images):
  return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def batches(data):
  """(name, images, labels) of CIFAR-10's files."""
  for number, part in enumerate(np.split(np.arange(len(data["y_train"])), 5), 1):
    yield f"data_batch_{number}", data["x_train"][part], data["y_train"][part]
  yield "test_batch", data["x_test"], data["y_test"]


def idx_files(data):
  files = {}
  for split, name in SPLITS.items():
    files[f"{name}-images-idx3-ubyte"] = idx(data[f"x_{split}"][..., 0])
    files[f"{name}-labels-idx1-ubyte"] = idx(data[f"y_{split}"])
  return files


def gz_files(data):
  return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in idx_files(data).items()}


def binary_files(data):
  return {f"{n}.bin": np.concatenate([y[:, None], rows(x)], axis=1).tobytes() for n, x, y in batches(data)}


def python_files(data):
  """As Python 2 wrote them, up to how it spelt a string of bytes."""
  return {n: pickle.dumps({b"data": rows(x), b"labels": y.tolist()}, 2) for n, x, y in batches(data)}


def npy_files(data):
  files = {}
  for name, array in data.items():
    np.save(file := io.BytesIO(), array)
    files[f"{name}.npy"] = file.getvalue()
  return files


def npz_files(data):
  np.savez(file := io.BytesIO(), **data)
  return {"set.npz": file.getvalue()}


def tar_files(data):
  with tarfile.open(fileobj=(file := io.BytesIO()), mode="w:gz") as archive:
    for name, content in binary_files(data).items():
      member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))
  return {"cifar-10-binary.tar.gz": file.getvalue()}


def below(folder, files):
  return lambda data: {f"{folder}/{name}": content for name, content in files(data).items()}


def write(folder, files):
  for name, content in files.items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
  return folder


def order_of_tfds(split, count):
  """By what TFDS itself shuffles with; it keeps so few in memory."""
  shuffler = shuffle.Shuffler("/nowhere", hash_salt=split)
  for number in range(count):
    shuffler.add(number, str(number).encode())
  return [int(number) for _, number in shuffler]


def assert_is(arrays, data):
  """The set, in the order of TFDS."""
  for split in ("train", "test"):
    order = order_of_tfds(split, len(data[f"y_{split}"]))
    np.testing.assert_array_equal(arrays[f"{split}_images"], data[f"x_{split}"][order])
    np.testing.assert_array_equal(arrays[f"{split}_labels"], data[f"y_{split}"][order])
    assert arrays[f"{split}_images"].dtype == np.uint8 and arrays[f"{split}_labels"].dtype == np.int32


@pytest.mark.parametrize(
  ("files", "shape"),
  [
    (idx_files, GREY),
    (gz_files, GREY),
    (npy_files, GREY),
    (binary_files, COLOUR),
    (below("cifar-10-batches-bin", binary_files), COLOUR),
    (tar_files, COLOUR),
    (python_files, COLOUR),
    (below("cifar-10-batches-py", python_files), COLOUR),
    (npy_files, COLOUR),
  ],
)
def test_every_form_gives_the_images_in_the_order_of_tfds(files, shape, tmp_path):
  data = noise(shape)
  assert_is(sources.read(write(tmp_path, files(data)), shape, 10), data)


def test_arrays_as_keras_has_them(tmp_path):
  data = noise(GREY)
  loose = data | {name: data[name][..., 0] for name in ("x_train", "x_test")}
  loose |= {name: data[name].astype(np.int64)[:, None] for name in ("y_train", "y_test")}
  assert_is(sources.read(write(tmp_path, npz_files(loose)) / "set.npz", GREY, 10), data)


REFUSED = {
  "missing": (idx_files, {"t10k-labels-idx1-ubyte": None}, "t10k-labels-idx1-ubyte is missing beside IDX"),
  "cut short": (idx_files, {"train-images-idx3-ubyte": lambda c: c[:-5]}, "train-images-idx3-ubyte: .*23,515 bytes"),
  "no IDX": (idx_files, {"t10k-labels-idx1-ubyte": lambda c: b"<html>"}, "t10k-labels-idx1-ubyte: .*not an IDX file"),
  "cut gz": (gz_files, {"train-labels-idx1-ubyte.gz": lambda c: c[:-9]}, "train-labels-idx1-ubyte: EOFError"),
  "cut binary": (binary_files, {"data_batch_2.bin": lambda c: c[:-1]}, "data_batch_2.bin: .*not whole images"),
  "code": (python_files, {"test_batch": lambda c: pickle.dumps(subprocess.run)}, "test_batch: .*subprocess.run has no"),
  "cut tar": (tar_files, {"cifar-10-binary.tar.gz": lambda c: c[: len(c) // 2]}, "EOFError"),
  "objects": (npy_files, {"y_test.npy": lambda c: npy_files({"y": np.array([None])})["y.npy"]}, "y_test.npy: Val"),
  "nothing": (lambda data: {"notes.txt": b""}, {}, "no images in files of a known form: IDX"),
}


@pytest.mark.parametrize(("files", "changed", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_files_that_are_missing_or_broken_are_named(files, changed, message, tmp_path):
  shape = GREY if files in (idx_files, gz_files, npy_files) else COLOUR
  content = files(noise(shape))
  for name, change in changed.items():
    whole = content.pop(name)
    content |= {name: change(whole)} if change else {}
  with pytest.raises(UserError, match=message) as error:
    sources.read(write(tmp_path, content), shape, 10)
  assert str(error.value).startswith(str(tmp_path)) and "\n" not in str(error.value)


OTHER = {
  "size": (lambda d: {"x_test": d["x_test"][:, :14]}, r"test: images of \(14, 28, 1\), uint8; \(28, 28, 1\)"),
  "floats": (lambda d: {"x_train": d["x_train"] / 255}, "train: images of .*float64"),
  "count": (lambda d: {"y_train": d["y_train"][1:]}, r"train: .*each of 30 images, not \(29,\)"),
  "more classes": (lambda d: {"y_test": d["y_test"] + 1}, "test: labels of 10 classes .*there are .*10]"),
  "fewer classes": (lambda d: {"y_train": d["y_train"] % 5}, r"train: labels of 10 classes .*\[0, 1, 2, 3, 4\]"),
  "below": (lambda d: {"y_train": d["y_train"].astype(int) - 1}, r"train: labels .*\[-1, 0"),
  "probabilities": (lambda d: {"y_train": np.eye(10)[d["y_train"]]}, r"train: .*not \(30, 10\)"),
}


@pytest.mark.parametrize(("change", "message"), OTHER.values(), ids=OTHER.keys())
def test_images_of_another_kind_are_refused(change, message, tmp_path):
  data = noise(GREY)
  with pytest.raises(UserError, match=message):
    sources.read(write(tmp_path, npy_files(data | change(data))), GREY, 10)


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_order_is_that_of_the_real_set(split):
  folder = next((folder for folder in REAL if (folder / "cifar10").exists()), None)
  if folder is None:
    pytest.skip("CIFAR-10 is not on this machine")
  decoders = {"image": tfds.decode.SkipDecoding()}
  builder = tfds.builder("cifar10", data_dir=folder, file_format="array_record")
  source = builder.as_data_source(split=split, decoders=decoders)
  ids = [int(source[place]["id"].decode().removeprefix(f"{split}_")) for place in range(0, len(source), 97)]
  assert ids == sources.tfds_order(split, len(source))[::97]


@pytest.fixture
def home(tmp_path, monkeypatch):
  """The user's cache, empty, and no folder of TFDS."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  monkeypatch.setattr(constants, "DATA_DIR", str(tmp_path / "tfds"))  # TFDS_DATA_DIR, as it was at the start
  return tmp_path / "cache" / "g_pt"


@pytest.fixture
def served(tmp_path, monkeypatch):
  """A folder that a server on the loopback shows; `asked` are the paths that it was asked for."""
  folder = tmp_path / "served"
  folder.mkdir()
  monkeypatch.setenv("NO_PROXY", "127.0.0.1")

  class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
      server.asked.append(self.path[1:])

  server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
  server.asked, server.folder, server.url = [], folder, f"http://127.0.0.1:{server.server_port}/"
  thread = threading.Thread(target=server.serve_forever)
  thread.start()
  yield server
  server.shutdown()
  thread.join()
  server.server_close()


@pytest.fixture(params=["fashion_mnist", "cifar10"])
def small(request, served, monkeypatch):
  """(name, data, server): TFDS's set of that name, but with a few images, and these at the server."""
  name = request.param
  data = noise(GREY if name == "fashion_mnist" else COLOUR)
  files = gz_files(data) if name == "fashion_mnist" else tar_files(data)
  write(served.folder, files)
  listed = {
    served.url + file: checksums.UrlInfo(len(content), hashlib.sha256(content).hexdigest(), file)
    for file, content in files.items()
  }
  monkeypatch.setattr(type(tfds.builder(name)), "url_infos", listed)
  return name, data, served


def loaded(name, data_dir=None):
  data = tasks.get(name).load(data_dir)
  tests = np.concatenate([data.recorded.labels, data.final.labels])
  return data.train.images, data.train.labels, np.sort(tests)


def assert_loads(name, data, data_dir=None):
  order = order_of_tfds("train", len(data["y_train"]))
  wanted = data["x_train"][order], data["y_train"][order], np.sort(data["y_test"])
  for found, one in zip(loaded(name, data_dir), wanted, strict=True):
    np.testing.assert_array_equal(found, one)


def test_a_set_that_is_not_there_is_fetched_once(small, home, capsys):
  name, data, server = small
  assert_loads(name, data)
  shown = capsys.readouterr().err
  assert all(f"{file}: 1/1, " in shown for file in server.asked)
  asked = len(server.asked)
  assert asked == {"fashion_mnist": 4, "cifar10": 1}[name]
  assert_loads(name, data)
  assert len(server.asked) == asked
  assert [file.suffix for file in home.iterdir() if file.is_file()] == [".npz"]


def test_it_is_fetched_to_the_folder_that_is_named(small, home, tmp_path, capsys):
  name, data, _ = small
  fetch.main([name, f"--data_dir={tmp_path}/mine"])
  assert capsys.readouterr().out == f"{name}: 30 training and 15 test images\n"
  assert_loads(name, data, f"{tmp_path}/mine")
  assert (tmp_path / "mine").exists() and not home.exists()


@pytest.mark.parametrize("small", ["fashion_mnist"], indirect=True)
def test_a_fetch_that_broke_off_goes_on(small, home):
  name, data, server = small
  last = server.folder / "t10k-labels-idx1-ubyte.gz"
  content = last.read_bytes()
  last.unlink()
  with pytest.raises(UserError, match=f"{server.url}{last.name} cannot be fetched .*answers 404"):
    loaded(name)
  last.write_bytes(content[:-1] + b"?")
  with pytest.raises(UserError, match=f"{server.url}{last.name} cannot be fetched .*SHA-256"):
    loaded(name)
  assert not list(home.glob("*.npz"))
  server.asked.clear()
  last.write_bytes(content)
  assert_loads(name, data)
  assert {Path(asked).name for asked in server.asked} == {last.name}


def test_without_a_network_a_line_says_what_to_do(small, home, tmp_path, capsys):
  name, data, server = small
  server.shutdown()
  server.server_close()
  missing = f"'{name}' is not in {tmp_path}/tfds/.*no connection.*; without a network, --data_from=FOLDER takes .*gz"
  with pytest.raises(UserError, match=missing) as error:
    loaded(name)
  assert "\n" not in str(error.value) and not capsys.readouterr().err
  tasks.keep_files(name, server.folder, None)  # what was to be brought
  assert f"{name}: 30 training and 15 test images of {server.folder}, kept in {home}" in capsys.readouterr().err
  assert_loads(name, data)


def test_files_that_are_given_replace_those_before_them(home, tmp_path):
  first, second, data_dir = noise(GREY), noise(GREY, train=40), str(tmp_path / "data")
  tasks.keep_files("kmnist", write(tmp_path / "first", idx_files(first)), data_dir)
  assert_loads("kmnist", first, data_dir)
  tasks.keep_files("kmnist", write(tmp_path / "second", {"kmnist.npz": npz_files(second)["set.npz"]}), data_dir)
  assert_loads("kmnist", second, data_dir)
  with pytest.raises(UserError, match="^--data_from: "):
    tasks.keep_files("kmnist", tmp_path, data_dir)
  assert_loads("kmnist", second, data_dir)


def test_a_folder_that_may_not_be_written_to_is_named(home, tmp_path):
  (tmp_path / "data/g_pt").mkdir(parents=True)
  os.chmod(tmp_path / "data/g_pt", 0o555)
  with pytest.raises(UserError, match=f"{tmp_path}/data/g_pt/kmnist-3.0.1.npz cannot be written"):
    tasks.keep_files("kmnist", write(tmp_path / "files", idx_files(noise(GREY))), str(tmp_path / "data"))


def test_a_family_takes_each_set_by_its_name(home, tmp_path):
  write(tmp_path / "sets/mnist", idx_files(grey := noise(GREY)))
  write(tmp_path / "sets", {"cifar10.npz": npz_files(colour := noise(COLOUR))["set.npz"]})
  tasks.keep_files("mixes_8x8", tmp_path / "sets", None)
  assert_loads("mnist", grey)
  assert_loads("cifar10", colour)
  with pytest.raises(UserError, match="no folder or .npz of the name"):
    tasks.keep_files("mixes_8x8", tmp_path / "sets/mnist", None)


def test_moments_are_kept_with_the_images(home, tmp_path):
  data = noise(COLOUR)
  tasks.keep_files("cifar10", write(tmp_path / "files", binary_files(data)), None)
  (file,) = home.glob("*.npz")
  np.testing.assert_allclose(kept.read(file)["mean"], (data["x_train"] / 255).mean(axis=(0, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize(
  ("experiment", "message"),
  [
    ("mnist_loss", "{place}: x_test.npy, y_test.npy is missing beside NumPy files that are there"),
    ("digits_loss", "the task 'digits' has its data without files"),
  ],
)
def test_the_command_line_takes_files_or_tells_of_them(experiment, message, tmp_path, process_environment):
  files = npy_files(noise(GREY))
  place = write(tmp_path / "files", {name: files[name] for name in ("x_train.npy", "y_train.npy")})
  config = f"--config=experiments/{experiment}.py:smoke"
  command = [sys.executable, "main.py", config, f"--workdir={tmp_path}/workdir", f"--data_from={place}"]
  result = subprocess.run(command, capture_output=True, text=True, env=process_environment, check=False)
  (line,) = result.stderr.strip().splitlines()
  assert result.returncode == 2 and line == f"main.py: --data_from: {message.format(place=place)}"
  assert not (tmp_path / "workdir").exists()
