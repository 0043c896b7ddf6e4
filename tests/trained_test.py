"""A trained model in a workdir: opened as it was written, without the data, and refused where something is missing."""

import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

import g_pt
from g_pt import trained, workdir
from g_pt.errors import UserError
from g_pt.gpt import _evaluating


def test_a_public_load_is_the_whole_way(gpt, smoke_workdir):
  loaded = g_pt.load(smoke_workdir)
  assert isinstance(loaded, g_pt.GPT)
  jax.tree.map(np.testing.assert_array_equal, loaded.weights, gpt.weights)


def test_what_is_sampled_of_new_networks_is_measured_by_the_program_that_measures_new_networks(smoke_workdir):
  """Arrays bound to a device would have one of their own."""
  loaded = g_pt.load(smoke_workdir)
  network = loaded.init(jax.random.key(0))
  loaded.measure(network)
  trained_by_it = loaded.sample(network, prompt=1.0, key=jax.random.key(1), metric=2.0)
  programs = _evaluating(loaded.task)._cache_size()
  loaded.measure(trained_by_it)
  assert _evaluating(loaded.task)._cache_size() == programs


def test_statistics_read_are_those_that_were_written(gpt, smoke_workdir, tmp_path):
  spec = gpt.task.spec
  arrangement = tuple((name, tuple(range(len(shape)))) for name, shape in zip(spec.names, spec.shapes))
  trained.write_trained(tmp_path, {"task": gpt.task.name}, gpt.statistics, arrangement)
  found, there = trained.read_statistics(tmp_path)
  assert there == arrangement
  assert found.prompt_range == gpt.statistics.prompt_range and found.census == gpt.statistics.census
  assert found.start_range == gpt.statistics.start_range
  jax.tree.map(np.testing.assert_array_equal, found.units, gpt.statistics.units)
  assert not trained.read_statistics(smoke_workdir)[1]


def test_nothing_is_loaded_until_something_is_measured(smoke_workdir):
  opened = g_pt.load(smoke_workdir, data_dir="/nowhere")
  assert opened.load_data.args == ("/nowhere",)
  network, prompt = opened.init(jax.random.key(0)), sum(opened.statistics.prompt_range) / 2
  opened.sample(network, prompt, key=jax.random.key(1), metric=2.0)
  assert "data" not in vars(opened)
  opened.measure(network)
  assert "data" in vars(opened)


def test_loading_sampling_and_measuring_say_nothing(smoke_workdir):
  """In a process of its own, whose logs nobody has quieted."""
  script = """if True:
    import sys, jax, g_pt
    gpt = g_pt.load(sys.argv[1])
    network = gpt.init(jax.random.key(0))
    gpt.measure(gpt.sample(network, gpt.statistics.prompt_range.low, key=jax.random.key(1)))
  """
  done = subprocess.run([sys.executable, "-c", script, smoke_workdir], capture_output=True, text=True, check=True)
  assert done.stdout == done.stderr == ""


def test_a_workdir_without_a_trained_model_is_refused(smoke_workdir, tmp_path):
  with pytest.raises(UserError, match=r"no trained G.pt here \(train.json is missing\); run --stage=train"):
    g_pt.load(tmp_path)
  shutil.copy(smoke_workdir / workdir.TRAINED, tmp_path)
  with pytest.raises(UserError, match="units.npz: missing; run --stage=train"):
    g_pt.load(tmp_path)
  shutil.copy(smoke_workdir / workdir.UNITS, tmp_path)
  with pytest.raises(UserError, match="checkpoints: no checkpoint here"):
    g_pt.load(tmp_path)
  (tmp_path / workdir.UNITS).write_bytes(b"PK")
  with pytest.raises(UserError, match="units.npz: not readable"):
    g_pt.load(tmp_path)
  (tmp_path / workdir.TRAINED).write_text(json.dumps({})[:-1])
  with pytest.raises(UserError, match="train.json: not JSON"):
    g_pt.load(tmp_path)


def test_a_checkpoint_cut_short_is_one_line_with_its_folder(smoke_workdir, tmp_path):
  directory = shutil.copytree(smoke_workdir, tmp_path / "workdir")
  latest = max((path for path in (directory / workdir.CHECKPOINTS).iterdir()), key=lambda path: int(path.name))
  for file in (latest / "average").rglob("*"):
    if file.is_file() and file.stat().st_size > 200:
      file.write_bytes(file.read_bytes()[:100])
  with pytest.raises(UserError, match=rf"{latest}: .*not readable") as error:
    g_pt.load(directory)
  assert "\n" not in str(error.value)
