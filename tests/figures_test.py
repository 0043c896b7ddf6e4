"""The README's pictures are drawn from evaluations alone, small and the same each time."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from experiments.results import figures
from g_pt import workdir
from g_pt.errors import UserError

NAMES = ("alignment", "one_update", "landscape", "walk")
STEPS = np.array([0, 1, 3, 10, 30, 100, 700], np.int32)


def arrays():
  """By evaluation: as many numbers as the default experiments leave."""
  rng = np.random.default_rng(0)
  prompted = 0.05 + np.linspace(0, 1, 20) * rng.uniform(2.2, 2.4, (64, 1))
  curves = {f"curve.{name}.step": STEPS for name in ("sgd", "adamw")}
  curves |= {f"curve.{name}.final": rng.uniform(0.9, 1.1, (64, 7)) * 2.3 / (1 + STEPS) for name in ("sgd", "adamw")}
  x, y = np.linspace(-3, 4, 61), np.linspace(-2, 2, 61)
  surface = 0.1 + x[None] ** 2 / 5 + np.sin(3 * y[:, None]) ** 2 + rng.normal(0, 0.02, (61, 61))
  tiles = rng.normal(0, 0.1, (96, 10, 28, 28, 1)).astype(np.float16)
  return {
    "alignment": {"test.prompted": prompted, "test.achieved.final": prompted + rng.normal(0, 0.1, prompted.shape)},
    "one_update": {"achieved.final": rng.uniform(0.05, 0.12, 64), **curves},
    "landscape": {
      "x": x,
      "y": y,
      "landscape": surface,
      "metric": rng.uniform(0.1, 0.2, 128),
      "start_metric": np.array([2.3]),
      "sample_at": rng.normal(0, 1, (128, 2)),
      "start_at": np.array([[3.0, 0.5]]),
      "explained": np.array([0.18, 0.13]),
    },
    "walk": {"tiles": tiles, "metric.final": rng.uniform(0.1, 0.2, 96)},
  }


@pytest.fixture
def made_up(tmp_path):
  """A workdir with made-up evaluations."""
  directory = tmp_path / "workdir"
  summaries = {
    "alignment": {"test": {"final": {"mean": 0.98765}}},
    "one_update": {"optimizers": {"final": {"sgd": {}, "adamw": {}}}},
    "landscape": {},
    "walk": {"caption": "first-layer filters, one a hidden unit"},
  }
  for name, of_name in arrays().items():
    workdir.write_arrays(directory / workdir.EVALUATION / f"{name}.npz", of_name)
    content = {"settings": {"task": "mnist", "metric": "test_loss"}, "summary": summaries[name], "seconds": 1.0}
    workdir.write_json(directory / workdir.EVALUATION / f"{name}.json", content)
  return directory


def drawn(directory, out):
  return figures.draw({"digits": directory, "mnist": directory}, out)


def test_every_picture_is_small_and_whole(made_up, tmp_path):
  paths = drawn(made_up, tmp_path / "docs")
  assert [path.name for path in paths] == [f"{name}.svg" for name in NAMES]
  for path in paths:
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert 5_000 < path.stat().st_size < figures.MOST, path


def test_the_same_evaluations_are_the_same_bytes(made_up, tmp_path):
  first, second = ([path.read_bytes() for path in drawn(made_up, tmp_path / name)] for name in ("one", "two"))
  assert first == second


@pytest.mark.parametrize("name", NAMES)
def test_pictures_follow_their_own_evaluation_alone(made_up, tmp_path, name):
  before = {path.stem: path.read_bytes() for path in drawn(made_up, tmp_path / "before")}
  file = made_up / workdir.EVALUATION / f"{name}.npz"
  workdir.write_arrays(file, {key: value * 1.25 for key, value in workdir.read_arrays(file, "evaluate").items()})
  after = {path.stem: path.read_bytes() for path in drawn(made_up, tmp_path / "after")}
  assert {stem for stem in before if before[stem] != after[stem]} == {name}


def test_lines_are_the_evaluation_s_numbers(made_up):
  (panel,) = figures.alignment([made_up]).axes
  numbers = arrays()["alignment"]
  (mean,) = (line for line in panel.get_lines() if line.get_label() == "mean")
  np.testing.assert_allclose(mean.get_xdata(), numbers["test.prompted"].mean(axis=0))
  np.testing.assert_allclose(mean.get_ydata(), numbers["test.achieved.final"].mean(axis=0))
  assert panel.get_title() == "MNIST: prompt alignment 0.988"


def test_a_walk_shows_frames_evenly_from_the_first_on(made_up):
  axes = figures.walk(made_up).axes
  values = arrays()["walk"]["metric.final"][np.arange(8) * 12]
  assert [panel.get_title() for panel in axes[:8]] == [f"{value:.3f}" for value in values]
  assert len(axes) == 8 * 4


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_evaluation_is_one_line_and_nothing_is_written(made_up, tmp_path, name):
  (made_up / workdir.EVALUATION / f"{name}.json").unlink()
  with pytest.raises(UserError) as refused:
    figures.main([f"--digits={made_up}", f"--mnist={made_up}", f"--out={tmp_path / 'docs'}"])
  line = str(refused.value)
  assert "\n" not in line and line.startswith(f"{made_up}: no evaluation {name!r} here; run --stage=evaluate")
  assert not (tmp_path / "docs").exists()


def test_a_return_is_drawn_upwards_from_where_it_is(made_up):
  """A metric that is better when higher keeps a linear axis."""
  file = made_up / workdir.EVALUATION / "one_update.json"
  content = json.loads(file.read_text())
  workdir.write_json(file, content | {"settings": {"task": "cartpole", "metric": "episode_return"}})
  (panel,) = figures.one_update([made_up]).axes
  assert panel.get_yscale() == "linear"
