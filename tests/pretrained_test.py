"""What comes with the package still does what its card says."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import g_pt
from g_pt import release, trained, workdir
from g_pt.errors import UserError
from g_pt.evaluation import alignment
from g_pt.evaluation.base import Recorded

# Where the tests find MNIST and CIFAR-10, which a user lets TFDS fetch.
IMAGES = Path(__file__).parents[2] / "shared" / "tensorflow_datasets"
FOLDER = Path(trained.__file__).parent / "pretrained"
LARGEST = 15e6  # bytes of all together
NETWORKS, PROMPTS = 16, 10


@pytest.mark.parametrize("name", trained.pretrained())
def test_it_samples_without_a_data_set(name):
  gpt = g_pt.load(name, data_dir="/nowhere")
  network = gpt.init(jax.random.key(0))
  best = gpt.statistics.prompt_range.low
  updated = gpt.sample(network, best, key=jax.random.key(1), metric=gpt.statistics.prompt_range.high)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(updated))


@pytest.mark.skipif(not IMAGES.exists(), reason=f"no data sets in {IMAGES}")
@pytest.mark.parametrize("name", trained.pretrained())
def test_it_does_what_was_measured(name):
  """On fresh networks, of which the figure is another sample."""
  gpt = g_pt.load(name, data_dir=str(IMAGES))
  wanted = workdir.read_json(FOLDER / name / release.CONFIG)["measured"]
  theta = jnp.stack([gpt.task.spec.flatten(gpt.init(key)) for key in jax.random.split(jax.random.key(7), NETWORKS)])
  starts = Recorded(theta, gpt.evaluate(theta)[gpt.metric_name])
  prompted, updated = alignment.ask(gpt, starts, PROMPTS, jax.random.key(8))
  achieved = np.asarray(gpt.evaluate(updated)[gpt.metric_name]).reshape(prompted.shape)
  assert abs(alignment.summary(prompted, achieved, gpt.statistics.prompt_range)["mean"] - wanted["alignment"]) < 0.01
  assert abs(achieved[:, 0].mean() / wanted["one_update"] - 1) < 0.05  # the first prompt is the best


def test_together_they_are_small():
  assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) <= LARGEST


def test_an_unknown_name_lists_those_there_are(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(UserError, match="^mnist_los: no such folder; models that come with the package: mnist_error, mn"):
    g_pt.load("mnist_los")
