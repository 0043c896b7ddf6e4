"""The test room: eight CPU devices, no silent broadcasting over ranks, shape types checked, warnings are errors."""

import os
from pathlib import Path
import subprocess
import sys
import tempfile
import urllib.request

# A worker of pytest-xdist has the environment of its controller, and the controller's folder of compiled programs.
if "PYTEST_XDIST_WORKER" not in os.environ:
  # Most of a test's time is compilation: of small programs, and of the same ones again where a stage starts anew.
  _COMPILED = tempfile.TemporaryDirectory(prefix="g_pt_tests_")
  os.environ.setdefault("JAX_PLATFORMS", "cpu")
  os.environ |= {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_COMPILATION_CACHE_DIR": _COMPILED.name,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
  }
_EIGHT_DEVICES = "--xla_force_host_platform_device_count=8"
_ONE_DEVICE = os.environ | {"XLA_FLAGS": os.environ.get("XLA_FLAGS", "").removesuffix(_EIGHT_DEVICES).strip()}
os.environ["XLA_FLAGS"] = f"{_ONE_DEVICE['XLA_FLAGS']} {_EIGHT_DEVICES}".strip()

from absl import flags
import hypothesis
import jax
import jaxtyping
import numpy as np
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jaxtyping.install_import_hook("g_pt", "beartype.beartype")
flags.FLAGS.mark_as_parsed()
hypothesis.settings.register_profile("g_pt", deadline=None, max_examples=25, derandomize=True, database=None)
hypothesis.settings.load_profile("g_pt")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def process_environment():
  """For `python main.py` in a process of its own: one device, and this room's quick compilation."""
  return _ONE_DEVICE | {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def toy():
  """An MLP 7-5-3 that classifies random points: a Task of 58 parameters that compiles and runs at once."""
  from g_pt.tasks import classifiers, datasets, networks
  from g_pt.tasks.base import Metric
  from g_pt.tasks.supervised import SupervisedRecipe

  def load(data_dir):
    del data_dir
    rng = np.random.default_rng(0)
    images = rng.normal(size=(60, 7)).astype(np.float32)
    weights = rng.normal(size=(7, 3))
    images = np.concatenate([images, rng.normal(size=(13, 7)).astype(np.float32)])
    labels = np.argmax(images @ weights, axis=1).astype(np.int32)
    parts = zip(np.split(images, [43, 60]), np.split(labels, [43, 60]))
    return datasets.Images(*(datasets.Examples(*part) for part in parts))

  return classifiers.task(
    name="toy",
    classifier=networks.MLP((5, 3)),
    hidden_layers=networks.mlp_hidden_layers((5, 3)),
    input_shape=(7,),
    load=load,
    metrics={
      "test_loss": Metric(label="test loss (nats)", higher_is_better=False, best_prompt=0.1),
      "test_error": Metric(label="test error (%)", higher_is_better=False, best_prompt=2.0),
    },
    recipe=SupervisedRecipe(epochs=2, batch_size=8),
  )


@pytest.fixture(scope="session")
def smoke_values():
  """The configuration of `smoke_workdir`, as plain dictionaries."""
  from g_pt import config

  values = config.default("digits", "test_loss")
  values.corpus.update(runs=24, checkpoints=6, group_size=4, validation_runs=4, test_runs=4)
  values.corpus.recipe.update(epochs=1)
  values.model.update(width=16, depth=1, heads=2, frequencies=8)
  values.diffusion.variable = "update"
  values.train.update(steps=40, batch_size=32, microbatches=2, learning_rate=3e-3, warmup_steps=5)
  values.train.update(log_every=10, checkpoint_every=20, probe_every=20)
  values.sample.steps = 3
  values.evaluate.alignment.update(networks=3, prompts=4)
  values.optimizers.update(networks=3, tuning_networks=2, points=5, optimizers=("sgd",))
  values.mesh.data = 1
  return values.to_dict()


@pytest.fixture(scope="session")
def smoke_workdir(smoke_values, tmp_path_factory):
  """A workdir with a corpus of digits networks and a tiny G.pt trained on it; not to be written to."""
  from g_pt import config, stages

  directory = tmp_path_factory.mktemp("smoke")
  for stage in ("corpus", "train"):
    stages.run(config.parse(smoke_values), directory, stage)
  return directory


@pytest.fixture(scope="session")
def family_values():
  """The configuration of `family_workdir`, as plain dictionaries."""
  from g_pt import config

  values = config.default("mixes_8x8:digits", "test_loss", "class_transformer")
  values.corpus.update(runs=18, checkpoints=3, group_size=3, validation_runs=3, test_runs=3)
  values.corpus.recipe.update(epochs=2, train_examples=500)
  values.model.update(width=16, edge_width=8, depth=1, heads=2, frequencies=8)
  values.train.update(steps=20, batch_size=16, microbatches=2, learning_rate=3e-3, warmup_steps=5, behaviour=1.0)
  values.train.update(log_every=10, checkpoint_every=10, probe_every=20, history=2, classes=(4,))
  values.train.pairs.of_a_set = 4
  values.sample.steps = 3
  values.evaluate.data_sets.update(networks=2, prompts=3, training_sets=1, test_sets=1)
  values.evaluate.data_sets.held_out = ("digits", "no_such_set")
  values.evaluate.few_examples.update(networks=2, counts=(2,), test_sets=1)
  values.evaluate.class_counts.update(networks=2, prompts=3, counts=(3, 11), test_sets=1, held_out=("digits",))
  values.optimizers.update(networks=2, tuning_networks=2, points=4)
  values.mesh.data = 1
  return values.to_dict()


@pytest.fixture(scope="session")
def family_workdir(family_values, tmp_path_factory):
  """A workdir with networks for data sets made of digits, and a tiny G.pt of many data sets; not to be written to."""
  from g_pt import config, stages

  directory = tmp_path_factory.mktemp("family")
  for stage in ("corpus", "train"):
    stages.run(config.parse(family_values), directory, stage)
  return directory


@pytest.fixture(scope="session")
def gpt(smoke_workdir):
  """The trained G.pt of `smoke_workdir`."""
  import g_pt

  return g_pt.load(smoke_workdir)


@pytest.fixture(scope="module")
def bucket_server():
  """The address of a server that speaks S3, with an empty bucket, `corpora`."""
  from moto.server import ThreadedMotoServer

  server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
  server.start()
  address = "http://{}:{}".format(*server.get_host_and_port())
  urllib.request.urlopen(urllib.request.Request(f"{address}/corpora", method="PUT")).close()
  yield address
  server.stop()


@pytest.fixture(scope="module")
def bucket(bucket_server):
  """Environment by which TensorStore finds that server, set while the tests run."""
  given = {"AWS_ENDPOINT_URL": bucket_server, "AWS_REGION": "us-east-1"}
  given |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
  with pytest.MonkeyPatch.context() as patch:
    for name, value in given.items():
      patch.setenv(name, value)
    yield given


@pytest.fixture(scope="module")
def google_bucket():
  """A server that stands for Google Cloud Storage, with an empty bucket, `corpora`; TensorStore finds it meanwhile."""
  from gcp_storage_emulator.server import create_server

  server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="corpora")
  server.start()
  address = "http://{}:{}".format(*server._api._httpd.server_address)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TENSORSTORE_GCS_HTTP_URL", address)
    patch.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", "token")
    yield
  server.stop()


@pytest.fixture
def hub():
  """A server that stands for the Hugging Face Hub, with nothing in it."""
  from tests import hub_server

  with hub_server.serving() as served:
    yield served


@pytest.fixture
def beside_hub(hub, process_environment, tmp_path):
  """Runs a program in a process of its own, which knows that server from its start; returns the lines that it prints.

  What it fetches lies below tmp_path/home.
  """
  from tests.end_to_end_test import PATIENCE

  def run(program, *arguments, **environment):
    found = process_environment | hub.environment(tmp_path / "home") | environment
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, env=found, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()

  return run
