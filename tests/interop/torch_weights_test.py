"""Released weights in: the workdir computes the release's numbers, in our order, and the stages take it."""

import json
import os
from pathlib import Path
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import g_pt
from g_pt import config, stages, workdir
from g_pt.errors import UserError
from g_pt.interop import layout, torch_weights
from g_pt.tasks import digits

torch = pytest.importorskip("torch", reason="needs the extra: pip install -e .[torch]")

GOLDEN = Path(__file__).parents[1] / "golden"
HEADS = 4  # of the golden model


@pytest.fixture(scope="module")
def golden():
  """Inputs and outputs of the release's MNIST model, and its weights by name."""
  arrays = dict(np.load(GOLDEN / "gpt_mnist_tiny.npz"))
  return arrays, {name.removeprefix("state/"): arrays[name] for name in arrays if name.startswith("state/")}


@pytest.fixture(scope="module")
def checkpoint(golden, tmp_path_factory):
  """The model as the release saves one; the raw weights are twice the averaged ones."""
  file = tmp_path_factory.mktemp("release") / "model.pt"
  average = {name: torch.from_numpy(array) for name, array in golden[1].items()}
  raw = {name: 2 * array for name, array in average.items()}
  optimizer = {"state": {0: {"step": torch.tensor(70.0)}, 1: {"step": torch.tensor(70.0)}}, "param_groups": []}
  torch.save({"G": raw, "G_ema": average, "optim": optimizer}, file)
  return file


@pytest.fixture(scope="module")
def released(mnist, checkpoint, tmp_path_factory):
  """The workdir of the golden model."""
  directory = tmp_path_factory.mktemp("released")
  torch_weights.import_weights(checkpoint, mnist, "test_loss", directory, heads=HEADS)
  return directory


def model_output(gpt, arrays):
  """The generator's model on the golden inputs, which are in the release's order and units; its output, in ours."""
  back, scale = np.argsort(layout.release_index(gpt.task)), 4.185
  theta, xt = jnp.asarray(arrays["in/x_prev"][:, back]) / scale, jnp.asarray(arrays["in/x"][:, back])
  metric, prompt, timestep = (jnp.asarray(arrays[f"in/{name}"], float) for name in ("loss_prev", "loss_target", "t"))
  return jax.jit(gpt.generator._model(gpt.weights, theta, metric, prompt))(xt, timestep), back


def test_a_loaded_workdir_computes_the_releases_numbers_in_our_order(released, golden):
  gpt = g_pt.load(released)
  out, back = model_output(gpt, golden[0])
  np.testing.assert_allclose(out, golden[0]["out/y"][:, back], rtol=1e-5, atol=1e-5)


def test_it_samples(released):
  """Without a corpus no prompt is outside of what it covers: no warning."""
  gpt = g_pt.load(released)
  network = gpt.task.network.init(jax.random.key(0))
  samples = [gpt.sample(network, prompt=0.5, key=jax.random.key(key), steps=2) for key in (1, 1, 2)]
  first, again, other = (np.asarray(gpt.task.spec.flatten(sample)) for sample in samples)
  assert np.isfinite(first).all()
  np.testing.assert_array_equal(first, again)
  assert (first != other).any()


def test_of_the_corpus_nothing_is_known(released):
  """Weights that were made elsewhere learned from another: prompts are taken as they are, and there is no census."""
  statistics = g_pt.load(released).statistics
  assert statistics.prompt_range is None and statistics.census is None


def test_the_diffusion_is_the_papers(released):
  gpt = g_pt.load(released)
  np.testing.assert_allclose(gpt.generator.schedule.beta[[0, -1]], [1e-4, 0.02], rtol=1e-6)
  theta = jnp.ones((1, gpt.task.spec.size))
  np.testing.assert_allclose(gpt.generator.units.start(theta), 4.185, rtol=1e-6)
  np.testing.assert_allclose(gpt.generator.units.encode(theta, 0 * theta), 4.185, rtol=1e-6)
  np.testing.assert_allclose(gpt.generator.units.decode(4.185 * theta, 0 * theta), 1.0, rtol=1e-6)
  assert (gpt.config.sampler, gpt.config.steps, gpt.generator.prediction) == ("ddpm", 1000, "x0")


def test_raw_weights_and_other_settings_are_what_was_asked_for(mnist, checkpoint, golden, tmp_path):
  options = {"which": "G", "heads": HEADS, "prediction": "noise", "scale": 2.0, "metric_range": (0.5, 3.0)}
  torch_weights.import_weights(checkpoint, mnist, "test_error", tmp_path, **options)
  gpt = g_pt.load(tmp_path)
  kernel = golden[1]["decoder.blocks.0.mlp.0.weight"].T
  np.testing.assert_array_equal(gpt.weights["params"]["block_0"]["mlp_in"]["kernel"], 2 * kernel)
  assert gpt.generator.prediction == "noise" and not gpt.generator.module.residual
  np.testing.assert_allclose(gpt.generator.units.target_scale, 0.5, rtol=1e-6)
  assert gpt.metric_name == "test_error" and gpt.statistics.prompt_range == (0.5, 3.0)


def test_every_stage_takes_imported_weights(mnist, checkpoint, tmp_path, capsys):
  torch_weights.import_weights(checkpoint, mnist, "test_loss", tmp_path, heads=HEADS)
  before = (tmp_path / workdir.TRAINED).read_bytes()
  namespace = {"__file__": str(tmp_path / torch_weights.EXPERIMENT)}
  exec((tmp_path / torch_weights.EXPERIMENT).read_text(), namespace)  # as `--config` does
  values = namespace["get_config"]().to_dict()
  assert values["train"]["steps"] == 70 and isinstance(values["evaluate"]["experiments"], tuple)
  assert workdir.differences(values, json.loads(json.dumps(values))) == []  # tuples and lists are alike
  values["corpus"] |= {"runs": 8, "checkpoints": 4, "group_size": 2, "validation_runs": 2, "test_runs": 3}
  values["sample"] |= {"sampler": "ddim", "steps": 2}
  values["evaluate"]["alignment"] |= {"networks": 2, "prompts": 3}
  values["optimizers"] |= {"networks": 2, "tuning_networks": 2, "points": 3, "optimizers": ("sgd",)}
  for stage in ("corpus", "train", "evaluate"):
    stages.run(config.parse(values), tmp_path, stage)
  assert (tmp_path / workdir.TRAINED).read_bytes() == before
  assert "its weights were imported; there is nothing to train" in capsys.readouterr().out
  assert (tmp_path / workdir.METRICS).read_text() == ""  # the report looks for it
  assert (tmp_path / workdir.SUMMARY).exists()
  values["diffusion"]["prediction"] = "noise"
  with pytest.raises(UserError, match="diffusion.prediction is 'x0' there, 'noise' here"):
    stages.run(config.parse(values), tmp_path, "evaluate")


def test_other_files_are_one_clear_line(mnist, golden, tmp_path):
  file = tmp_path / "file.pt"

  def refused(match, task=mnist, **options):
    with pytest.raises(UserError, match=match) as error:
      torch_weights.import_weights(file, task, "test_loss", tmp_path / "workdir", **{"heads": HEADS} | options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "workdir").exists()

  refused("file.pt: No such file")
  file.write_bytes(b"not a checkpoint")
  refused("file.pt: not a PyTorch file of tensors alone")
  torch.save({"weights": 1}, file)
  refused("not a checkpoint of G.pt: G_ema is not among what it holds .weights.")
  torch.save([1], file)
  refused("not among what it holds .list.")
  state = {name: torch.from_numpy(array) for name, array in golden[1].items()}
  torch.save({"G_ema": state}, file)
  refused("G is not among what it holds .G_ema.", which="G")
  refused("do not cut layers of .640, 10, 100, 10. parameters", task=digits.TASK, scale=3.0)
  refused("--scale: needed, greater than 0", task=digits.TASK)
  refused("width: 32 is not a multiple of the 5 heads", heads=5)
  refused("prediction: unknown 'x1'", prediction="x1")
  torch.save({"G_ema": state | {"decoder.blocks.1.ln2.bias": torch.zeros(3)}}, file)
  refused("block_1.*mlp_norm.*bias.* is .3,., not .32,.")
  del state["decoder.pos_emb"]
  torch.save({"G_ema": state}, file)
  refused("there is no decoder.pos_emb")


class Trap:
  """What a hostile file may hold: unpickling it runs a command."""

  def __reduce__(self):
    return os.mkdir, ("trapped",)


def test_nothing_in_a_file_is_executed(mnist, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  torch.save({"G_ema": Trap()}, "file.pt")
  with pytest.raises(UserError, match="not a PyTorch file of tensors alone"):
    torch_weights.import_weights("file.pt", mnist, "test_loss", tmp_path / "workdir", heads=HEADS)
  assert not Path("trapped").exists()


def test_a_workdir_is_never_overwritten(mnist, checkpoint, released):
  with pytest.raises(UserError, match="train.json is in the way"):
    torch_weights.import_weights(checkpoint, mnist, "test_loss", released, heads=HEADS)


def test_the_command(mnist, checkpoint, tmp_path, run_command):
  directory = tmp_path / "workdir"
  arguments = [checkpoint, "--task=mnist", "--metric=test_loss", f"--workdir={directory}"]
  code, out, err = run_command(torch_weights.main, *arguments, f"--heads={HEADS}", "--metric-range=0.1,2.5")
  assert code == 0, err
  assert "2 blocks of width 32 with 4 heads" in out and str(directory / "experiment.py") in out
  trained = json.loads((directory / workdir.TRAINED).read_text())
  assert trained["imported"] == {"file": "model.pt", "weights": "G_ema"}
  assert trained["prompt_range"] == {"low": 0.1, "high": 2.5}
  for changed, match in (
    ("--metric=loss", "command: --metric: unknown metric 'loss'"),
    ("--task=nothing", "command: --task: unknown task 'nothing'"),
    ("--metric-range=2", "'2' is not LOW,HIGH"),
    ("--prediction=x1", "invalid choice: 'x1'"),
  ):
    code, out, err = run_command(torch_weights.main, *arguments, changed)
    assert code == 2 and match in err and err.count("\n") == 1


def test_the_module_is_a_command(process_environment, tmp_path):
  command = [sys.executable, "-m", "g_pt.interop.torch_weights", "none.pt", "--task=digits", "--metric=test_loss"]
  command += [f"--workdir={tmp_path / 'workdir'}", "--heads=4", "--scale=2"]
  done = subprocess.run(command, env=process_environment, cwd=tmp_path, capture_output=True, text=True)
  assert done.returncode == 2
  assert done.stderr == "torch_weights: none.pt: No such file or directory\n"
