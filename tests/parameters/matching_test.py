"""Networks are laid upon each other by their hidden units, without changing what they compute."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt import tasks
from g_pt.parameters import matching
from g_pt.parameters.symmetry import permutation_index, random_permutations
from g_pt.tasks import population


def networks(spec, count, seed=0):
  return np.random.default_rng(seed).normal(size=(count, spec.size)).astype(np.float32)


def shuffled(spec, theta, seed=1):
  """The same networks, their units in another order."""
  index = np.asarray(permutation_index(spec, random_permutations(spec, jax.random.key(seed))))
  return theta[..., index]


@pytest.fixture(scope="module", params=["toy", "digits", "cartpole", "cifar10"])
def spec(request, toy):
  return toy.spec if request.param == "toy" else tasks.get(request.param).spec


def test_a_shuffled_network_is_brought_back(spec):
  theta = networks(spec, 1)[0]
  np.testing.assert_array_equal(matching.aligned(spec, shuffled(spec, theta), theta), theta)


def test_no_order_of_one_layer_s_units_is_nearer(toy):
  a, b = networks(toy.spec, 2)
  orders = (permutation_index(toy.spec, [jnp.array(order)]) for order in itertools.permutations(range(5)))
  nearest = min(float(np.linalg.norm(a[np.asarray(index)] - b)) for index in orders)
  assert np.linalg.norm(matching.aligned(toy.spec, a, b) - b) == pytest.approx(nearest, rel=1e-5)


def test_an_aligned_network_computes_the_same(spec, toy):
  del spec
  a, b = networks(toy.spec, 2)
  inputs = jnp.asarray(np.random.default_rng(2).normal(size=(6, 7)), jnp.float32)
  both = jnp.stack([jnp.asarray(a), jnp.asarray(matching.aligned(toy.spec, a, b))])
  outputs = toy.network.apply(population.stack(toy.spec, both), inputs)
  np.testing.assert_allclose(outputs[..., 0], outputs[..., 1], rtol=1e-4, atol=1e-4)


def test_distances_are_those_of_aligned_pairs_and_blind_to_order(spec):
  a, b = networks(spec, 3), networks(spec, 4, seed=5)
  pairs = [[np.linalg.norm(matching.aligned(spec, one, other) - other) for other in b] for one in a]
  found = matching.distances(spec, a, b)
  np.testing.assert_allclose(found, pairs, rtol=1e-3)
  if len(spec.hidden_layers) == 1:
    np.testing.assert_allclose(matching.distances(spec, shuffled(spec, a), b), found, rtol=1e-3)


def test_many_references_are_taken_in_parts(toy, monkeypatch):
  a, b = networks(toy.spec, 3), networks(toy.spec, 11, seed=5)
  whole = matching.distances(toy.spec, a, b)
  monkeypatch.setattr(matching, "_PAIRS", 12)
  np.testing.assert_allclose(matching.distances(toy.spec, a, b), whole, rtol=1e-5)


def test_a_copy_is_nearest_however_it_is_ordered_and_does_not_count_as_its_own_neighbour(spec, monkeypatch):
  monkeypatch.setattr(matching, "_SHORTLIST", 2)
  references = networks(spec, 7)
  copies = shuffled(spec, references[[4, 2]]) + np.float32(1e-3)
  found = matching.nearest(spec, copies, references)
  np.testing.assert_array_equal(found.index, [4, 2])
  np.testing.assert_allclose(found.distance, 1e-3 * np.sqrt(spec.size), atol=0.03)
  others = matching.nearest(spec, references[[4, 2]], references, np.array([4, 2]))
  assert (others.distance > 1).all() and others.index[0] != 4 and others.index[1] != 2
