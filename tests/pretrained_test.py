"""What comes with the package still does what its card says."""

from pathlib import Path
import re

import jax
import numpy as np
import pytest

import g_pt
from g_pt import release, trained, workdir
from g_pt.errors import UserError
from g_pt.evaluation import fresh
from g_pt.family_gpt import FamilyGPT

# Where the tests find MNIST and CIFAR-10, which a user lets TFDS fetch.
IMAGES = Path(__file__).parents[2] / "shared" / "tensorflow_datasets"
FOLDER = Path(trained.__file__).parent / "pretrained"
README = Path(__file__).parents[1] / "README.md"
ORDER = ("digits_loss", "digits_error", "mnist_loss", "mnist_error", "cifar10_loss", "cartpole_return", "unseen_data")
LARGEST = 15e6  # bytes of all together


@pytest.mark.parametrize("name", trained.pretrained())
def test_it_samples_without_a_data_set(name):
  model = g_pt.load(name, data_dir="/nowhere")
  images, labels = np.random.default_rng(0).random((40, 8, 8)), np.arange(40) % 10
  gpt = model.on(images, labels) if isinstance(model, FamilyGPT) else model
  network = gpt.init(jax.random.key(0))
  best = gpt.statistics.prompt_range.low
  updated = gpt.sample(network, best, key=jax.random.key(1), metric=gpt.statistics.prompt_range.high)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(updated))


@pytest.mark.parametrize("name", trained.pretrained())
def test_it_does_what_was_measured(name):
  """The same networks and noise, on what may be another processor."""
  if name.startswith(("mnist", "cifar10")) and not IMAGES.exists():
    pytest.skip(f"no data sets in {IMAGES}")
  wanted = fresh.Fresh(**workdir.read_json(FOLDER / name / release.CONFIG)["measured"])
  found = fresh.measure(g_pt.load(name, data_dir=str(IMAGES)))
  near = 0.02 if name.startswith("cartpole") else 0.005  # an episode makes much of the last bit of a weight
  assert abs(found.alignment - wanted.alignment) < near
  np.testing.assert_allclose(found[1:], wanted[1:], rtol=4 * near)


def test_the_readme_names_them():
  (line,) = (line for line in README.read_text().splitlines() if line.startswith("With the package come "))
  assert re.findall(r"`(\w+)`", line.partition(", each in")[0]) == list(ORDER) and sorted(ORDER) == trained.pretrained()


def test_together_they_are_small():
  assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) <= LARGEST


def test_an_unknown_name_lists_those_there_are(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  names = ", ".join(trained.pretrained())
  with pytest.raises(UserError, match=f"^mnist_los: no such folder; models that come with the package: {names}$"):
    g_pt.load("mnist_los")
