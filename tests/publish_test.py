"""A release gives the networks of the workdir that it was made from, and is refused where it is not whole."""

import copy
import json
import re
import shlex
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import g_pt
from g_pt import command as command_lines
from g_pt import config, publish, release, stages, trained, workdir
from g_pt.errors import UserError
from g_pt.evaluation import fresh
from g_pt.family_gpt import FamilyGPT
from tests import hub_server
from tests.end_to_end_test import PATIENCE

FLAGS = "--config.data_dir=/home/somebody --config.evaluate.alignment.networks 4 --config.seed=0"


@pytest.fixture(scope="module")
def evaluated(smoke_workdir, smoke_values, tmp_path_factory):
  """A copy of `smoke_workdir` with what costs nothing to evaluate."""
  directory = shutil.copytree(smoke_workdir, tmp_path_factory.mktemp("evaluated") / "digits")
  values = copy.deepcopy(smoke_values)
  values["evaluate"]["experiments"] = ("corpus", "model")
  line = "python main.py --config=/home/somebody/experiments/x.py --workdir /home/somebody/digits --stage evaluate"
  stages.run(config.parse(values), directory, "evaluate", f"{line} {FLAGS}")
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


def sampled_of_own(gpt):
  return gpt.sample(gpt.init(jax.random.key(0)), 1.0, key=jax.random.key(1))


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
  measured = json.loads((tmp_path / "small" / release.CONFIG).read_text())["measured"]
  assert fresh.measure(loaded)._asdict() == measured  # of what is given away, not of what it was rounded from
  assert {x.dtype for x in jax.tree.leaves(loaded.weights)} == {np.dtype(np.float32)}
  # A byte is off by half of a 127th of the largest of its column.
  for kept, x in zip(jax.tree.leaves(loaded.weights), jax.tree.leaves(gpt.weights)):
    largest = abs(x).max(axis=-2, keepdims=True) if x.ndim > 1 else abs(x).max()
    assert (abs(kept - x) <= 0.51 / 127 * largest + 1e-6).all()
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=near), sampled(loaded), sampled(gpt))


def test_a_card_says_how_it_was_made_and_is_used(released, gpt):
  text = (released / release.CARD).read_text()
  made_by = "python main.py --config=experiments/x.py --config.seed=0 --workdir=runs/digits"
  assert f"    {made_by}\n" in text and json.loads((released / release.CONFIG).read_text())["made_by"] == made_by
  assert 'g_pt.load("./digits_loss")' in text and "prompt=" in text
  asked = float(text.partition("prompt=")[2].partition(",")[0])
  learned = gpt.statistics.prompt_range
  assert max(gpt.metric.best_prompt, learned.low) <= asked < 1.2 * learned.low
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
  assert {file.name for file in released.iterdir()} == {*release.FILES, publish.REPORT}
  for name in (release.CONFIG, release.CARD, publish.REPORT):
    assert "/home" not in (released / name).read_text() and "--stage" not in (released / release.CARD).read_text()
  for name in (release.MODEL, release.CONFIG):
    shutil.copy(released / name, tmp_path)
  assert g_pt.load(tmp_path).task.name == "digits"


def test_a_model_of_many_data_sets_is_released_as_well(family_workdir, tmp_path):
  publish.publish(family_workdir, tmp_path / "out")
  released, whole = g_pt.load(tmp_path / "out"), g_pt.load(family_workdir)
  assert isinstance(released, FamilyGPT)
  jax.tree.map(np.testing.assert_array_equal, released.weights, whole.weights)
  images, labels = np.random.default_rng(0).integers(0, 256, (40, 8, 8)), np.arange(40) % 10
  networks = (sampled_of_own(model.on(images, labels)) for model in (released, whole))
  jax.tree.map(np.testing.assert_array_equal, *networks)
  text = (tmp_path / "out" / release.CARD).read_text()
  assert ".on(images, labels)" in text and "told of digits" in text
  measured = json.loads((tmp_path / "out" / release.CONFIG).read_text())["measured"]
  assert fresh.measure(released)._asdict() == measured


def test_what_is_there_is_not_written_over(evaluated, released):
  before = contents(released)
  with pytest.raises(UserError, match=f"--out: {released} is there already; name a new folder"):
    publish.publish(evaluated, released)
  with pytest.raises(UserError, match="is there already"):
    publish.publish(evaluated, released / release.CARD)
  with pytest.raises(UserError, match=f"--out: {released / release.CARD / 'out'} cannot be written: .*exists"):
    publish.publish(evaluated, released / release.CARD / "out")
  assert contents(released) == before


def test_what_fails_leaves_nothing(evaluated, tmp_path):
  """The units that training wrote are not readable, which is found on the way."""
  broken = shutil.copytree(evaluated, tmp_path / "broken")
  (broken / workdir.UNITS).write_bytes(b"no arrays")
  with pytest.raises(UserError, match=f"{workdir.UNITS}: not readable"):
    publish.publish(broken, tmp_path / "deep" / "out")
  (broken / workdir.COMMAND).unlink()
  (broken / workdir.COMMAND).mkdir()
  with pytest.raises(UserError, match=rf"^\[Errno 21\] Is a directory: '{broken / workdir.COMMAND}'$"):
    publish.publish(broken, tmp_path / "deep" / "out")
  assert [file.name for file in tmp_path.iterdir()] == ["broken"]


def test_a_model_that_is_not_what_its_workdir_says_is_refused(evaluated, released, tmp_path):
  """Half-trained, or evaluated with other sampling; and a release is none to make one of."""
  file = json.loads((evaluated / workdir.TRAINED).read_text())
  steps = file["config"]["train"]["steps"]
  for part, field, value, message in (
    ("train", "steps", steps + 1, f"training is unfinished, step {steps} of {steps + 1}; run --stage=train"),
    ("sample", "temperature", 0.125, "corpus.json is not of this model: sample.temperature is .* there, .* here; rem"),
    ("model", "width", 3, "corpus.json is not of this model: model.width is .* there, .* here; remove corpus.json and"),
  ):
    other = shutil.copytree(evaluated, tmp_path / field)
    for name in ("corpus", "model"):  # as if both looked at samples
      result = other / workdir.EVALUATION / f"{name}.json"
      content = json.loads(result.read_text())
      content["settings"]["sample"] = file["config"]["sample"]
      result.write_text(json.dumps(content))
    changed = copy.deepcopy(file)
    changed["config"][part][field] = value
    (other / workdir.TRAINED).write_text(json.dumps(changed))
    with pytest.raises(UserError, match=message):
      publish.publish(other, tmp_path / "out")
    shutil.rmtree(other)
  with pytest.raises(UserError, match=f"--workdir: {released} is a release already; --out={released} --push=OWNER"):
    publish.publish(released, tmp_path / "out")
  assert not list(tmp_path.iterdir())


def test_the_report_is_of_what_was_asked_for_last(evaluated, tmp_path):
  """`evaluate.experiments` leaves out what would make a page too large."""
  other = shutil.copytree(evaluated, tmp_path / "other")
  values = json.loads((other / workdir.CONFIG).read_text())
  values["evaluate"]["experiments"] = ["model"]
  (other / workdir.CONFIG).write_text(json.dumps(values))
  publish.publish(other, tmp_path / "out")
  assert "trained in" in (text := (tmp_path / "out" / release.CARD).read_text()) and "checkpoints of a run" not in text


def test_another_program_that_made_it_is_named(evaluated, tmp_path):
  other = shutil.copytree(evaluated, tmp_path / "other")
  line = "python -m experiments.results.seeds --experiment=digits_loss --workdir=/home/somebody --data_dir /home"
  (other / workdir.COMMAND).write_text(f"{line}\n")
  publish.publish(other, tmp_path / "out")
  text = (tmp_path / "out" / release.CARD).read_text()
  assert "    python -m experiments.results.seeds --experiment=digits_loss\n" in text and "/home" not in text


@pytest.mark.parametrize(
  ("given", "kept"),
  [
    ("--config=/home/experiments/g_pt/experiments/x.py:long", "--config=experiments/x.py:long"),
    ("--config my_experiments/x.py", "--config=x.py"),
    ("--config=x.py --config.evaluate.data_sets.compared --config.seed=3", "--config=x.py --config.seed=3"),
    ("--config=x.py --noconfig.evaluate.data_sets.compared", "--config=x.py"),
    ("--config=x.py --stage evaluate --multihost --config.train.steps 5", "--config=x.py --config.train.steps 5"),
    ("--config=x.py --coordinator=a:1 --process=0", "--config=x.py"),
  ],
)
def test_a_command_is_told_without_what_is_no_part_of_what_it_made(given, kept):
  assert shlex.join(command_lines.flags_of(f"python /home/main.py {given} --workdir=/home")) == kept


def test_imported_weights_are_said_to_be(evaluated, tmp_path):
  imported = shutil.copytree(evaluated, tmp_path / "imported")
  content = json.loads((imported / workdir.TRAINED).read_text())
  (imported / workdir.TRAINED).write_text(json.dumps(content | {"imported": {"file": "mnist.pt", "weights": "G_ema"}}))
  publish.publish(imported, tmp_path / "out")
  assert "    an import of published weights (mnist.pt)\n" in (tmp_path / "out" / release.CARD).read_text()


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
  save_file(arrays | {name: np.zeros(arrays[name].shape, np.int8)}, directory / release.MODEL)
  with pytest.raises(UserError, match=f"{release.MODEL}: units/.*qkv/kernel is missing, and its weights are bytes"):
    g_pt.load(directory)
  with pytest.raises(UserError, match=f"^{directory / release.MODEL}: a file; give the folder of a workdir or a rel"):
    g_pt.load(directory / release.MODEL)
  save_file({key: x for key, x in arrays.items() if not key.startswith("statistics/")}, directory / release.MODEL)
  with pytest.raises(UserError, match=f"{release.CONFIG}: not what this version writes .'statistics of layer_0/bias'"):
    g_pt.load(directory)
  shutil.copy(released / release.MODEL, directory)
  content = json.loads((directory / release.CONFIG).read_text())
  del content["prompt_range"]
  (directory / release.CONFIG).write_text(json.dumps(content))
  with pytest.raises(UserError, match=f"{release.CONFIG}: not what this version writes"):
    g_pt.load(directory)
  (directory / release.CONFIG).write_text('{"config": null}')
  with pytest.raises(UserError, match=f"{release.CONFIG}: not that of a G.pt"):
    g_pt.load(directory)
  (directory / release.CONFIG).unlink()
  with pytest.raises(UserError, match=f"{release.CONFIG}: missing beside {release.MODEL}"):
    trained.load(directory)


@pytest.fixture
def command(hub, process_environment, tmp_path):
  """Runs the command in a process of its own, which knows the server from its start."""

  def run(*flags, **environment):
    # The server does not speak Xet, by which large files go where it is known.
    chosen = {"HF_TOKEN": hub_server.TOKEN, "HF_HUB_DISABLE_XET": "1"} | environment
    found = process_environment | hub.environment(tmp_path / "home") | chosen
    line = [sys.executable, "-m", "g_pt.publish", *flags]
    return subprocess.run(line, env=found, capture_output=True, text=True, timeout=PATIENCE)

  return run


def contents(folder):
  return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_release_is_pushed_and_stays(evaluated, released, hub, command, tmp_path):
  hub.large = release.MODEL
  out = tmp_path / "out"
  done = command(f"--workdir={evaluated}", f"--out={out}", "--push=someone/digits")
  url = "hf://someone/digits"
  assert done.returncode == 0, done.stderr[-3000:]
  assert done.stdout.splitlines()[-1] == f"{hub.address}/someone/digits: g_pt.load('{url}') opens it"
  pushed = hub.files("someone/digits")
  card = (out / release.CARD).read_bytes().replace(b'"./out"', f'"{url}"'.encode())
  assert f'g_pt.load("{url}")'.encode() in card
  assert pushed.items() >= (contents(out) | {release.CARD: card}).items()
  assert pushed[release.MODEL] == (released / release.MODEL).read_bytes() and hub.objects


def test_a_folder_that_is_there_is_pushed_over_what_was_pushed_before(released, hub, command):
  hub.commit("someone/digits", {release.MODEL: b"before", "more": b"stays"})
  before = contents(released)
  done = command(f"--out={released}", "--push=someone/digits")
  assert done.returncode == 0, done.stderr[-3000:]
  card = before[release.CARD].replace(b'"./digits_loss"', b'"hf://someone/digits"')
  assert hub.files("someone/digits") == before | {release.CARD: card, "more": b"stays"}
  assert contents(released) == before


def test_a_push_that_fails_says_how_to_push_again(released, hub, command):
  again = f"; {released} stays, and to push it again: python -m g_pt.publish --out={released} --push=someone/digits"
  hub.forbidden = "commit"
  before = contents(released)
  for reason, environment in {
    "not without a token that allows it (403 Forbidden: refused as asked.); `hf auth login`": {},
    "not without a token that allows it (": {"HF_TOKEN": ""},
    "[Errno 111] Connection refused": {"HF_ENDPOINT": "http://127.0.0.1:9"},
  }.items():
    done = command(f"--out={released}", "--push=someone/digits", **environment)
    assert done.returncode == 2 and contents(released) == before
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"publish: --push: hf://someone/digits: {reason}") and line.endswith(again)


def test_what_cannot_be_pushed_is_refused_before_anything_is_written(evaluated, released, tmp_path):
  out = tmp_path / "out"
  for flags, message in (
    ([f"--workdir={evaluated}", "--push=digits"], "hf://digits: a model of the hub is at hf://OWNER/NAME"),
    ([f"--workdir={evaluated}", "--push="], "hf://: a model of the hub is at hf://OWNER/NAME"),
    (["--push=someone/digits"], f"--out: no release in {out} (model.safetensors is missing); --workdir makes one"),
    ([], "--workdir: needed, or --push of a folder that is there"),
  ):
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
      publish.main([f"--out={out}", *flags])
  assert not out.exists()
