"""Prompt alignment: its landmarks, what qualifies it, and that it is measured on what was asked and got."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.corpus.statistics import PromptRange
from g_pt.evaluation.alignment import alignment_by_network, ask, probe, summary, too_narrow
from g_pt.evaluation.base import Recorded
from g_pt.gpt import GPT

PROMPTED = np.linspace(0.1, 2.0, 20)[None] * np.array([[1.0], [3.0], [0.2]])
LEARNED = PromptRange(0.1, 6.0)


def test_getting_what_was_asked_scores_1():
  np.testing.assert_allclose(alignment_by_network(PROMPTED, PROMPTED), 1.0)


def test_doing_nothing_scores_the_paper_s_minus_2_71():
  unchanged = np.broadcast_to(PROMPTED[:, -1:], PROMPTED.shape)
  np.testing.assert_allclose(alignment_by_network(PROMPTED, unchanged), -2.71, atol=0.005)


def test_always_the_mean_scores_0():
  mean = np.broadcast_to(PROMPTED.mean(axis=1, keepdims=True), PROMPTED.shape)
  np.testing.assert_allclose(alignment_by_network(PROMPTED, mean), 0.0, atol=1e-12)


def test_networks_count_alike_whatever_their_range():
  one_lost = np.concatenate([PROMPTED[:2], np.broadcast_to(PROMPTED[2:].mean(), (1, 20))])
  found = summary(PROMPTED, one_lost, LEARNED)
  assert found["mean"] == pytest.approx(2 / 3) and found["median"] == pytest.approx(1.0)


def test_networks_nearly_at_their_best_count_in_the_mean_and_are_told_of():
  prompted = np.stack([np.linspace(500.0, 20.0, 20), np.linspace(500.0, 480.0, 20), np.full(20, 500.0)])
  achieved = prompted.copy()
  achieved[1:] = 460.0
  by_network = alignment_by_network(prompted, achieved)
  assert by_network[0] == pytest.approx(1.0) and by_network[1] < -5 and np.isnan(by_network[2])
  found = summary(prompted, achieved, PromptRange(10.0, 500.0))
  assert found["mean"] == pytest.approx(by_network[:2].mean())
  assert found["too_narrow"] == 2 and found["mean_of_others"] == pytest.approx(1.0)
  # What is narrow depends on what was learned, not on the other networks.
  np.testing.assert_array_equal(too_narrow(prompted[1:], PromptRange(10.0, 500.0)), [True, True])
  np.testing.assert_array_equal(too_narrow(prompted, None), [False, False, True])


def test_the_interval_holds_the_mean_and_narrows_with_more_networks():
  rng = np.random.default_rng(0)
  prompted = np.tile(np.linspace(0.1, 2.0, 20), (400, 1))
  achieved = prompted + rng.normal(0, 0.3, prompted.shape) * rng.uniform(0, 2, (400, 1))
  few, many = (summary(prompted[:n], achieved[:n], LEARNED) for n in (20, 400))
  widths = [found["interval"][1] - found["interval"][0] for found in (few, many)]
  assert 0 < widths[1] < widths[0] / 2
  for found in (few, many):
    assert found["interval"][0] < found["mean"] < found["interval"][1]


class Unchanging(GPT):
  """Leaves every network as it is, and remembers what it was asked for."""

  def update(self, theta, start_metric, prompt, key, config=None, weights=None, noise=None):
    self.__dict__["asked"] = theta, start_metric, prompt
    return theta


@pytest.fixture(scope="module")
def unchanging(gpt):
  return Unchanging(**{field.name: getattr(gpt, field.name) for field in dataclasses.fields(gpt)})


@pytest.fixture(scope="module")
def starts(gpt):
  theta = jax.jit(jax.vmap(lambda key: gpt.task.spec.flatten(gpt.init(key))))(jax.random.split(jax.random.key(0), 3))
  return Recorded(theta, gpt.evaluate(theta)["test_loss"])


def test_prompts_run_from_the_best_to_the_network_s_own_metric(unchanging, starts):
  prompted, theta = ask(unchanging, starts, 20, jax.random.key(1))
  np.testing.assert_allclose(prompted, np.linspace(unchanging.metric.best_prompt, starts.metric, 20, axis=1), rtol=1e-5)
  # Each network is asked once for each of its prompts.
  asked_theta, asked_metric, asked_prompt = unchanging.asked
  np.testing.assert_array_equal(asked_theta, np.repeat(starts.theta, 20, axis=0))
  np.testing.assert_array_equal(asked_metric, np.repeat(starts.metric, 20))
  np.testing.assert_array_equal(asked_prompt, np.ravel(prompted))
  np.testing.assert_array_equal(theta, asked_theta)


def test_a_probe_is_the_alignment_of_what_is_measured(unchanging, starts):
  assert probe(unchanging, starts, 20, jax.random.key(1), None) == pytest.approx(-2.71, abs=0.01)


def test_a_probe_is_of_the_weights_it_is_given(gpt, starts):
  """A model whose weights are 0 proposes no update."""
  silent = jax.tree.map(jnp.zeros_like, gpt.weights)
  assert probe(gpt, starts, 20, jax.random.key(1), silent) == pytest.approx(-2.71, abs=0.01)
