"""Muon makes the steps of optax's, whose iteration it carries out on Gram matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from g_pt.train.muon import muon, orthogonalised


def iterated(matrix):
  """Five Newton-Schulz iterations of the matrix itself, in double precision."""
  x = np.asarray(matrix, np.float64)
  x = x.T if len(x) > x.shape[1] else x
  x = x / np.linalg.norm(x)
  for _ in range(5):
    gram = x @ x.T
    x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
  return x.T if len(matrix) > matrix.shape[1] else x


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (32, 32), (24, 96), (96, 24)])
@pytest.mark.parametrize(("rank", "noise"), [(None, 0.0), (2, 0.0), (2, 1e-3), (1, 1e-5)])
def test_iterations_of_the_gram_matrix_are_those_of_the_matrix(shape, rank, noise):
  rng = np.random.default_rng(0)
  matrix = noise * rng.normal(size=shape)
  matrix += (
    rng.normal(size=shape) if rank is None else rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1]))
  )
  np.testing.assert_allclose(orthogonalised(jnp.asarray(matrix, jnp.float32)), iterated(matrix), atol=1e-4)


def test_a_gradient_of_nothing_is_no_step():
  assert not orthogonalised(jnp.zeros((4, 8))).any()


def test_its_steps_are_those_of_optax():
  def decays(weights):
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", weights)

  rng = np.random.default_rng(1)

  def drawn():
    shapes = {"wide": {"kernel": (8, 32), "bias": (32,)}, "tall": {"kernel": (16, 4)}, "mix": {"form": (2, 3)}}
    return jax.tree.map(
      lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32), shapes, is_leaf=lambda x: isinstance(x, tuple)
    )

  rate = optax.linear_schedule(0.1, 0.01, 3)
  wanted = optax.contrib.muon(
    rate, adam_b1=0.8, adam_b2=0.95, weight_decay=0.3, weight_decay_mask=decays, consistent_rms=0.2
  )
  own = muon(rate, 0.8, 0.95, 0.3, decays)
  weights = drawn()
  states = [wanted.init(weights), own.init(weights)]
  both = [weights, weights]
  for _ in range(4):
    gradients = drawn()
    for i, optimizer in enumerate((wanted, own)):
      updates, states[i] = optimizer.update(gradients, states[i], both[i])
      both[i] = optax.apply_updates(both[i], updates)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *both)
  assert jax.tree.reduce(max, jax.tree.map(lambda a, b: float(abs(a - b).max()), both[0], weights)) > 0.05


def test_stacked_layers_step_as_each_would():
  """Matrices under matrices, biases under biases: nothing is taken for a matrix because it lies in a stack."""
  rng = np.random.default_rng(2)
  layers = [{"kernel": rng.normal(size=(4, 6)), "bias": rng.normal(size=6)} for _ in range(3)]
  apart = {f"block_{i}": jax.tree.map(jnp.float32, layer) for i, layer in enumerate(layers)}
  stacked = {"blocks": jax.tree.map(lambda *x: jnp.stack(x), *apart.values())}

  def stepped(weights):
    optimizer = muon(0.1, 0.9, 0.99, 0.0, lambda weights: jax.tree.map(lambda _: False, weights))
    state = optimizer.init(weights)
    for _ in range(3):
      updates, state = optimizer.update(jax.tree.map(jnp.square, weights), state, weights)
      weights = optax.apply_updates(weights, updates)
    return weights

  wanted = stepped(apart)
  found = stepped(stacked)["blocks"]
  for i in range(3):
    for name in ("kernel", "bias"):
      np.testing.assert_allclose(found[name][i], wanted[f"block_{i}"][name], rtol=1e-5, atol=1e-6)
  assert (found["kernel"] != stacked["blocks"]["kernel"]).all()
