"""A release gives the networks of the workdir that it was made from, and is refused where it is not whole."""

import copy
import json
import shutil

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import g_pt
from g_pt import config, publish, release, stages, trained, workdir
from g_pt.errors import UserError
from g_pt.evaluation import fresh


@pytest.fixture(scope="module")
def evaluated(smoke_workdir, smoke_values, tmp_path_factory):
  """A copy of `smoke_workdir` with what costs nothing to evaluate."""
  directory = shutil.copytree(smoke_workdir, tmp_path_factory.mktemp("evaluated") / "digits")
  values = copy.deepcopy(smoke_values)
  values["evaluate"]["experiments"] = ("corpus", "model")
  stages.run(
    config.parse(values), directory, "evaluate", "python main.py --config=x.py --workdir=digits --stage=evaluate"
  )
  content = json.loads((directory / workdir.TRAINED).read_text())
  content["config"]["data_dir"] = content["config"]["corpus"]["path"] = "/home/somebody"
  (directory / workdir.TRAINED).write_text(json.dumps(content))
  return directory


@pytest.fixture(scope="module")
def released(evaluated, tmp_path_factory):
  out = tmp_path_factory.mktemp("releases") / "digits_loss"
  publish.main([f"--workdir={evaluated}", f"--out={out}"])
  return out


def sampled(gpt):
  network = gpt.init(jax.random.key(0))
  return gpt.sample(network, gpt.statistics.prompt_range.low, key=jax.random.key(1), metric=2.0)


def test_samples_of_a_release_are_those_of_its_workdir_to_the_last_bit(released, gpt):
  loaded = g_pt.load(released)
  jax.tree.map(np.testing.assert_array_equal, loaded.weights, gpt.weights)
  assert loaded.config == gpt.config and loaded.statistics.prompt_range == gpt.statistics.prompt_range
  jax.tree.map(np.testing.assert_array_equal, sampled(loaded), sampled(gpt))


@pytest.mark.parametrize(("bits", "near"), [(16, 0.02), (8, 0.1)])
def test_fewer_bits_are_a_smaller_file_and_nearly_the_same_networks(bits, near, evaluated, released, gpt, tmp_path):
  publish.main([f"--workdir={evaluated}", f"--out={tmp_path / 'small'}", f"--bits={bits}"])
  stored, whole = (load_file(folder / release.MODEL) for folder in (tmp_path / "small", released))
  kernels = [name for name in whole if name.startswith("weights/") and name.endswith("/kernel")]
  assert kernels
  for name in kernels:
    assert stored[name].nbytes * 32 == whole[name].nbytes * bits
  loaded = g_pt.load(tmp_path / "small")
  assert {x.dtype for x in jax.tree.leaves(loaded.weights)} == {np.dtype(np.float32)}
  # A byte is off by half of a 127th of the largest of its column.
  for kept, x in zip(jax.tree.leaves(loaded.weights), jax.tree.leaves(gpt.weights)):
    largest = abs(x).max(axis=-2, keepdims=True) if x.ndim > 1 else abs(x).max()
    assert (abs(kept - x) <= 0.51 / 127 * largest + 1e-6).all()
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=near), sampled(loaded), sampled(gpt))


def test_a_card_says_how_it_was_made_and_is_used(released, gpt):
  text = (released / release.CARD).read_text()
  assert "python main.py --config=x.py --workdir=digits\n" in text and "--stage" not in text
  assert 'g_pt.load("digits_loss")' in text and f"prompt={gpt.metric.best_prompt:g}," in text
  assert "trained in" in text  # a line of the evaluations
  measured = json.loads((released / release.CONFIG).read_text())["measured"]
  assert f"alignment is {measured['alignment']:.3f}" in text
  assert fresh.measure(g_pt.load(released))._asdict() == measured


def test_what_was_not_evaluated_has_a_card(smoke_workdir, tmp_path):
  publish.publish(smoke_workdir, tmp_path / "out")
  text = (tmp_path / "out" / release.CARD).read_text()
  assert "untrained networks that are in no corpus" in text and "trained in" not in text


def test_a_release_stands_alone(released, tmp_path):
  """It is copied elsewhere, without its card, and names no folder of the machine that made it."""
  assert "/home" not in (released / release.CONFIG).read_text() + (released / release.CARD).read_text()
  for name in (release.MODEL, release.CONFIG):
    shutil.copy(released / name, tmp_path)
  assert g_pt.load(tmp_path).task.name == "digits"


def test_what_is_there_is_not_written_over(evaluated, released):
  with pytest.raises(UserError, match=f"--out: {released} is a file or holds some already"):
    publish.publish(evaluated, released)
  with pytest.raises(UserError, match="is a file or holds some already"):
    publish.publish(evaluated, released / release.CARD)


def test_a_release_that_is_not_whole_is_one_line_that_names_the_file(released, tmp_path):
  directory = shutil.copytree(released, tmp_path / "broken")
  arrays = load_file(directory / release.MODEL)
  name = next(name for name in arrays if name.endswith("qkv/kernel"))
  for changed, message in (
    (arrays | {name: arrays[name][:-1]}, f"{release.MODEL}: weights of another model: .*qkv/kernel"),
    ({key: array for key, array in arrays.items() if key != name}, "weights of another model: .*qkv/kernel"),
  ):
    save_file(changed, directory / release.MODEL)
    with pytest.raises(UserError, match=message):
      g_pt.load(directory)
  (directory / release.MODEL).write_bytes(b"no safetensors")
  with pytest.raises(UserError, match=f"{release.MODEL}: not readable") as error:
    g_pt.load(directory)
  assert "\n" not in str(error.value)
  shutil.copy(released / release.MODEL, directory)
  content = json.loads((directory / release.CONFIG).read_text())
  del content["prompt_range"]
  (directory / release.CONFIG).write_text(json.dumps(content))
  with pytest.raises(UserError, match=f"{release.CONFIG}: not what this version writes"):
    g_pt.load(directory)
  (directory / release.CONFIG).unlink()
  with pytest.raises(UserError, match=f"{release.CONFIG}: missing beside {release.MODEL}"):
    trained.load(directory)
