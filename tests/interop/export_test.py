"""Networks out: PyTorch's names and numbers, with what was asked for and measured beside them."""

import dataclasses
import json
import re
import sys

import jax
import numpy as np
import pytest

from g_pt.errors import UserError
from g_pt.interop import export, layout

torch = pytest.importorskip("torch", reason="needs the extra: pip install -e .[torch]")
safetensors = pytest.importorskip("safetensors", reason="needs the extra: pip install -e .[torch]")

PROMPT, SEED, NETWORKS = 1.0, 3, 2


@pytest.fixture(scope="module")
def exported(gpt, tmp_path_factory):
  """(folder, the metadata that the export returned)."""
  out = tmp_path_factory.mktemp("networks")
  return out, export.export_networks(gpt, PROMPT, out, networks=NETWORKS, seed=SEED)


def from_safetensors(file):
  """(arrays by name, metadata)."""
  with safetensors.safe_open(file, framework="np") as opened:
    return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata()


def test_both_formats_hold_the_same_networks(gpt, exported, network_of_state):
  out, _ = exported
  assert {file.name for file in out.iterdir()} == {"000.pt", "000.safetensors", "001.pt", "001.safetensors"}
  networks = []
  for i in range(NETWORKS):
    arrays, _ = from_safetensors(out / f"{i:03d}.safetensors")
    state = torch.load(out / f"{i:03d}.pt", weights_only=True)
    assert list(state) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    for name, tensor in state.items():
      np.testing.assert_array_equal(tensor.numpy(), arrays[name])
    networks.append(network_of_state(gpt.task, arrays))
  assert not np.array_equal(*(network["layer_0"]["kernel"] for network in networks))


def test_they_load_into_the_papers_modules_and_measure_as_told(gpt, exported):
  out, written = exported
  module = torch.nn.Module()
  module.fc1, module.fc2 = torch.nn.Linear(64, 10), torch.nn.Linear(10, 10)
  images, labels = (torch.from_numpy(np.array(part)) for part in gpt.data.recorded)
  for i, metadata in enumerate(written):
    module.load_state_dict(torch.load(out / f"{i:03d}.pt", weights_only=True))
    logits = module.fc2(torch.relu(module.fc1(images.flatten(1))))
    loss = torch.nn.functional.cross_entropy(logits, labels.long()).item()
    assert metadata["measured"] == pytest.approx(loss, rel=1e-4)
    assert metadata["metrics"]["test_loss"] == metadata["measured"]


def test_the_metadata_says_what_was_asked_and_measured(gpt, exported):
  out, written = exported
  for i, metadata in enumerate(written):
    assert (metadata["task"], metadata["metric"]) == ("digits", "test_loss")
    assert (metadata["prompt"], metadata["seed"], metadata["network"]) == (PROMPT, SEED, i)
    _, texts = from_safetensors(out / f"{i:03d}.safetensors")
    assert float(texts["prompt"]) == PROMPT and float(texts["measured"]) == metadata["measured"]
    assert json.loads(texts["sample"]) == dataclasses.asdict(gpt.config)
    assert texts["metric"] == "test_loss"
    assert torch.load(out / f"{i:03d}.pt", weights_only=True)._metadata["g_pt"] == metadata


def test_a_seed_makes_the_same_networks_again(gpt, exported, tmp_path):
  assert export.export_networks(gpt, PROMPT, tmp_path, networks=NETWORKS, seed=SEED) == exported[1]
  other = export.export_networks(gpt, PROMPT, tmp_path / "other", networks=NETWORKS, seed=SEED + 1)
  assert other[0]["measured"] != exported[1][0]["measured"]


def test_a_network_of_ones_own_is_written_and_read(toy, network_of_state, tmp_path):
  network = toy.network.init(jax.random.key(0))
  (tmp_path / "own.safetensors").write_bytes(export.safetensors_bytes(toy, network, {"note": "mine"}))
  arrays, texts = from_safetensors(tmp_path / "own.safetensors")
  assert texts == {"note": "mine"} and list(layout.state_of_network(toy, network)) == [
    "layer_0.weight",
    "layer_0.bias",
    "layer_1.weight",
    "layer_1.bias",
  ]
  jax.tree.map(np.testing.assert_array_equal, network_of_state(toy, arrays), network)


def test_the_command(smoke_workdir, tmp_path, run_command):
  arguments = [f"--workdir={smoke_workdir}", f"--prompt={PROMPT}", f"--out={tmp_path / 'out'}", "--steps=2"]
  code, out, err = run_command(export.main, *arguments, "--format=safetensors")
  assert code == 0 and f"{tmp_path / 'out' / '000'}: prompt 1, test_loss " in out
  assert [file.name for file in (tmp_path / "out").iterdir()] == ["000.safetensors"]
  for wrong, match in (
    ([], "holds networks already"),
    (["--prompt=nan", f"--out={tmp_path / 'other'}"], "prompt: .*nan.* is not finite"),
    (["--networks=0"], "--networks: 0 is less than 1"),
    (["--steps=2000"], "--steps: 2000 is not between 1 and the 1000"),
    ([f"--workdir={tmp_path}"], "no trained G.pt here"),
    (["--prompt=low"], "invalid float value: 'low'"),
  ):
    code, out, err = run_command(export.main, *arguments, *wrong)
    assert code == 2 and err.count("\n") == 1 and re.search(match, err)


def test_a_missing_library_names_the_extra(gpt, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
  with pytest.raises(UserError, match=r"safetensors is needed and not installed: pip install g-pt-jax\[torch\]"):
    export.export_networks(gpt, PROMPT, tmp_path)
  assert not list(tmp_path.iterdir())
