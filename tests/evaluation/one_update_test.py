"""One update: fresh networks, the best prompt, every part of the data; and the files that evaluations share."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.corpus.store import Corpus
from g_pt.evaluation import alignment, corpus, model, one_update
from g_pt.optimizers import baselines


@pytest.fixture(scope="module")
def one(context):
  return one_update.run(context(0), one_update.Settings())


def test_fresh_networks_are_asked_for_the_best(gpt, context, one):
  theta = baselines.fresh_networks(gpt.task, 0, 3)
  own = gpt.evaluate(theta)["test_loss"]
  prompt = gpt.metric.best_prompt
  updated = gpt.update(theta, own, jnp.full(3, prompt), context(0).key("one_update"))
  assert one.summary["prompt"] == prompt and one.summary["networks"] == 3
  for part in ("recorded", "final", "whole"):
    numbers = jax.device_get(gpt.evaluate(updated, part))
    assert set(one.summary["numbers"][part]) == set(numbers)
    found = one.summary["numbers"][part]["test_loss"]
    assert found["mean"] == pytest.approx(numbers["test_loss"].mean(), rel=1e-5)
    assert found["lowest"] <= found["mean"] <= found["highest"]
  np.testing.assert_allclose(one.arrays["start.recorded"], own, rtol=1e-5)
  np.testing.assert_allclose(one.arrays["achieved.final"], gpt.evaluate(updated, "final")["test_loss"], rtol=1e-5)


def test_the_optimizers_train_the_same_networks(one):
  for part in ("recorded", "final"):
    curve = one.arrays[f"curve.sgd.{part}"]
    np.testing.assert_allclose(curve[:, 0], one.arrays[f"start.{part}"], rtol=1e-5)
    assert set(one.summary["optimizers"][part]) == {"sgd"}


def test_no_network_of_the_corpus_is_updated(gpt, context):
  theta = np.asarray(baselines.fresh_networks(gpt.task, 0, 3))
  known = context(0).corpus.read(context(0).corpus.theta).reshape(-1, theta.shape[1])
  assert np.abs(theta[:, None] - known[None]).max(axis=2).min() > 0.01


def test_the_seed_alone_decides(context, one):
  again, other = (one_update.run(context(seed), one_update.Settings()) for seed in (0, 1))
  assert again.summary == one.summary
  for name, values in one.arrays.items():
    np.testing.assert_array_equal(again.arrays[name], values, err_msg=name)
  assert other.summary["numbers"] != one.summary["numbers"]


def test_summaries_are_plain_numbers(context, one):
  results = [one, corpus.run(context(0), corpus.Settings()), model.run(context(0), model.Settings())]
  results.append(alignment.run(context(0), alignment.Settings(networks=3, prompts=4)))
  for result in results:
    assert json.loads(json.dumps(result.summary, allow_nan=False)) == result.summary
  for name in ("train.achieved.recorded", "test.achieved.recorded", "test.achieved.final"):
    assert results[-1].arrays[name].shape == (3, 4)


def test_the_corpus_is_told_of_by_kinds_of_runs(context, gpt):
  summary, arrays = corpus.run(context(0), corpus.Settings())
  counts = {name: summary[name] for name in ("runs", "train_runs", "validation_runs", "test_runs", "rejected")}
  assert counts == {"runs": 24, "train_runs": 16, "validation_runs": 4, "test_runs": 4, "rejected": 0}
  assert summary["final_mean"] == pytest.approx(gpt.statistics.census.final_mean)
  assert arrays["histogram_count"].sum() == 16 * 6
  assert (np.diff(arrays["quantile"], axis=0) >= 0).all()
  assert model.run(context(0), model.Settings()).summary["seconds"] == 7.2


def test_alignment_reads_no_more_than_initial_networks_and_the_best_end(context, monkeypatch):
  read = Corpus.read
  asked = []

  def watched(self, array, rows=slice(None), checkpoint=None):
    if array is self.theta:
      asked.append((len(rows), checkpoint))
    return read(self, array, rows, checkpoint)

  monkeypatch.setattr(Corpus, "read", watched)
  alignment.run(context(0), alignment.Settings(networks=3, prompts=4))
  assert asked == [(3, 0), (3, 0), (1, -1)]
