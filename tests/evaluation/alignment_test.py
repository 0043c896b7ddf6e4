"""Prompt alignment: its landmarks, and that it is measured on what was asked and got."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.evaluation.alignment import measure_alignment, prompt_alignment
from g_pt.sample import GPT

PROMPTED = jnp.linspace(0.1, 2.0, 20)[None] * jnp.array([[1.0], [3.0], [0.2]])


def test_getting_what_was_asked_scores_1():
  assert prompt_alignment(PROMPTED, PROMPTED) == pytest.approx(1.0)


def test_doing_nothing_scores_the_paper_s_minus_2_71():
  unchanged = jnp.broadcast_to(PROMPTED[:, -1:], PROMPTED.shape)
  assert prompt_alignment(PROMPTED, unchanged) == pytest.approx(-2.71, abs=0.005)


def test_always_the_mean_scores_0():
  mean = jnp.broadcast_to(PROMPTED.mean(axis=1, keepdims=True), PROMPTED.shape)
  assert prompt_alignment(PROMPTED, mean) == pytest.approx(0.0, abs=1e-5)


def test_networks_count_alike_whatever_their_range():
  one_lost = jnp.concatenate([PROMPTED[:2], jnp.broadcast_to(PROMPTED[2:].mean(), (1, 20))])
  assert prompt_alignment(PROMPTED, one_lost) == pytest.approx(2 / 3, abs=1e-5)


class Unchanging(GPT):
  """Leaves every network as it is, and remembers what it was asked for."""

  def update(self, theta, start_metric, prompt, key, config=None):
    self.__dict__["asked"] = theta, start_metric, prompt
    return theta


def test_prompts_run_from_the_best_to_the_network_s_own_metric(gpt):
  unchanging = Unchanging(**{name: getattr(gpt, name) for name in GPT.__dataclass_fields__})
  init = jax.jit(jax.vmap(lambda key: gpt.task.spec.flatten(gpt.task.init(key))))
  theta = init(jax.random.split(jax.random.key(0), 3))
  own = gpt.measure(jax.vmap(gpt.task.spec.unflatten)(theta))
  measured = measure_alignment(unchanging, theta, own, 20, jax.random.key(1))
  np.testing.assert_allclose(measured.prompted, np.linspace(gpt.metric.best_prompt, own, 20, axis=1), rtol=1e-5)
  np.testing.assert_allclose(measured.achieved, np.tile(own[:, None], 20), rtol=1e-5)
  assert measured.score == pytest.approx(-2.71, abs=0.01)
  # Each network is asked once for each of its prompts.
  asked_theta, asked_metric, asked_prompt = unchanging.asked
  np.testing.assert_array_equal(asked_theta, np.repeat(theta, 20, axis=0))
  np.testing.assert_array_equal(asked_metric, np.repeat(own, 20))
  np.testing.assert_array_equal(asked_prompt, np.ravel(measured.prompted))


def test_a_network_nearly_at_its_best_from_the_start_does_not_count():
  prompted = jnp.stack([jnp.linspace(500.0, 20.0, 20), jnp.full(20, 500.0), jnp.linspace(500.0, 480.0, 20)])
  achieved = prompted.at[1:].set(480.0)
  assert prompt_alignment(prompted, achieved) == pytest.approx(1.0)
