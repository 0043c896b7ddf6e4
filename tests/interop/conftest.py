"""A task of MNIST's shape that needs no download, and how a command ends."""

import dataclasses
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import tasks
from g_pt.interop import command, layout
from g_pt.tasks import classifiers, datasets, networks
from g_pt.tasks.base import Metric
from g_pt.tasks.supervised import SupervisedRecipe


@pytest.fixture(scope="module")
def mnist():
  """The paper's MNIST networks, 784-10-10, on random images; in the table of tasks for as long as it is used."""

  def load(data_dir):
    del data_dir
    rng = np.random.default_rng(0)
    images = rng.normal(size=(40, 784)).astype(np.float32)
    labels = rng.integers(10, size=40).astype(np.int32)
    train, recorded, final = (slice(0, 32), slice(32, 36), slice(36, 40))
    return datasets.Images(*(datasets.Examples(images[part], labels[part]) for part in (train, recorded, final)))

  task = classifiers.task(
    name="mnist",
    classifier=networks.MLP((10, 10)),
    hidden_layers=networks.mlp_hidden_layers((10, 10)),
    input_shape=(784,),
    load=load,
    metrics={
      "test_loss": Metric(label="test loss (nats)", higher_is_better=False, best_prompt=0.1),
      "test_error": Metric(label="test error (%)", higher_is_better=False, best_prompt=5.0),
    },
    recipe=SupervisedRecipe(epochs=2, batch_size=8),
  )
  task = dataclasses.replace(task, training=dataclasses.replace(task.training, optimizers=("sgd",)))
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(tasks.TASKS, "mnist", task)
    yield task


@pytest.fixture(scope="session")
def network_of_state():
  """(task, state_dict) -> one network's pytree: the inverse of `layout.state_of_network`."""

  def network_of_state(task, state):
    arrays = {}
    for entry in layout.torch_parameters(task):
      arrays[entry.ours] = np.transpose(state[entry.theirs], np.argsort(entry.axes))
    assert set(state) == {entry.theirs for entry in layout.torch_parameters(task)}
    return task.spec.unflatten(jnp.concatenate([arrays[name].ravel() for name in task.spec.names]))

  return network_of_state


@pytest.fixture
def run_command(monkeypatch, capsys):
  """(main, arguments) -> (exit status, stdout, stderr) of a command of the package."""

  def run(main, *arguments):
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_info:
      command.run(main, "command")
    return exit_info.value.code, *capsys.readouterr()

  return run
