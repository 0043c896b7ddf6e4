"""PyTorch's names and order: the same network there and back, and the same function in PyTorch's own modules."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import tasks
from g_pt.interop import layout


@pytest.fixture(params=["toy", "mnist", *tasks.TASKS])
def task(request):
  """Every task of the table, and two that are not in it."""
  return tasks.get(request.param) if request.param in tasks.TASKS else request.getfixturevalue(request.param)


def distinct_network(task, seed=0):
  """A network of which no two numbers are alike."""
  theta = jax.random.permutation(jax.random.key(seed), task.spec.size).astype(float)
  return task.spec.unflatten(theta / task.spec.size)


def test_every_task_has_a_layout_and_its_inverse(task, network_of_state):
  parameters = distinct_network(task)
  state = layout.state_of_network(task, parameters)
  index = layout.release_index(task)
  theta = np.asarray(task.spec.flatten(parameters))
  # The release's vector is its state_dict, flattened and put end to end.
  np.testing.assert_array_equal(theta[index], np.concatenate([array.ravel() for array in state.values()]))
  np.testing.assert_array_equal(theta[index][np.argsort(index)], theta)
  assert layout.release_sizes(task) == tuple(array.size for array in state.values())
  np.testing.assert_array_equal(task.spec.flatten(network_of_state(task, state)), theta)


def test_weights_come_before_biases_and_are_out_by_in(mnist):
  parameters = distinct_network(mnist)
  state = layout.state_of_network(mnist, parameters)
  assert list(state) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
  assert layout.release_sizes(mnist) == (7840, 10, 100, 10)
  np.testing.assert_array_equal(state["fc1.weight"], np.asarray(parameters["layer_0"]["kernel"]).T)
  np.testing.assert_array_equal(state["fc2.bias"], parameters["layer_1"]["bias"])
  assert all(array.flags.c_contiguous for array in state.values())


def test_what_has_no_layout_is_refused(mnist):
  with pytest.raises(ValueError, match="an arrangement of the parameters .* is needed"):
    mnist.spec.arrangement_index(layout.release_arrangement(mnist)[1:])
  network = dataclasses.replace(mnist.network, init=lambda key: {"norm": {"scale": jnp.ones(3)}}, hidden_layers=())
  normed = dataclasses.replace(mnist, name="normed", network=network)
  with pytest.raises(ValueError, match="no PyTorch layout is known for .*norm/scale"):
    layout.torch_parameters(normed)


def test_the_papers_modules_compute_the_same(task):
  torch = pytest.importorskip("torch", reason="needs the extra: pip install -e .[torch]")
  from torch import nn
  from torch.nn import functional

  class MLP(nn.Module):
    def __init__(self, inputs):
      super().__init__()
      self.fc1, self.fc2 = nn.Linear(inputs, 10), nn.Linear(10, 10)

    def forward(self, x):
      return self.fc2(functional.relu(self.fc1(x.flatten(1))))

  class CNN(nn.Module):
    def __init__(self):
      super().__init__()
      self.conv1 = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False)
      self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
      self.fc = nn.Linear(32, 10)

    def forward(self, x):
      x = functional.relu(self.conv2(functional.relu(self.conv1(x.permute(0, 3, 1, 2)))))
      return self.fc(x.mean((2, 3)))

  class Policy(nn.Module):
    def __init__(self):
      super().__init__()
      layers = nn.Linear(4, 32), nn.SELU(), nn.Linear(32, 32), nn.SELU(), nn.Linear(32, 2)
      self.actor = nn.Sequential(*layers)

    def forward(self, x):
      return self.actor(x)

  cases = {
    "digits": (lambda: MLP(64), (64,)),
    "mnist": (lambda: MLP(784), (784,)),
    "cifar10": (CNN, (32, 32, 3)),
    "cartpole": (Policy, (4,)),
  }
  if task.name not in cases:
    pytest.skip(f"{task.name} is not one of the paper's tasks")
  make, shape = cases[task.name]
  module, parameters = make(), task.network.init(jax.random.key(1))
  state = layout.state_of_network(task, parameters)
  module.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
  inputs = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
  theirs = module(torch.from_numpy(inputs)).detach().numpy()
  ours = task.network.apply(jax.tree.map(lambda x: x[..., None], parameters), jnp.asarray(inputs))
  np.testing.assert_allclose(ours[..., 0], theirs, rtol=1e-4, atol=1e-5)
