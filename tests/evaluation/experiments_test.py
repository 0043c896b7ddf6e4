"""The experiments on a tiny model: what each asks, what it leaves, and that its numbers are those it says."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.corpus.statistics import PromptRange
from g_pt.errors import UserError
from g_pt.evaluation import (
  alignment,
  course,
  extrapolation,
  few_evaluations,
  further_steps,
  landscape,
  novelty,
  recursion,
  walk,
  without_model,
)
from g_pt.optimizers import baselines
from g_pt.parameters import matching

RUNS = {
  "course": (course, course.Settings(networks=2, prompts=3)),
  "recursion": (recursion, recursion.Settings(networks=2, updates=3, inits=("own", "orthogonal", "double"))),
  "further_steps": (further_steps, further_steps.Settings(networks=2)),
  "landscape": (landscape, landscape.Settings(samples=16, grid=5, basins=4)),
  "walk": (walk, walk.Settings(noises=3, frames=4)),
  "novelty": (novelty, novelty.Settings(networks=16, references=32)),
  "few_evaluations": (
    few_evaluations,
    few_evaluations.Settings(networks=2, prompts=3, evaluations=(1, 2), temperatures=(0.5,), references=32),
  ),
  "extrapolation": (extrapolation, extrapolation.Settings(networks=2, prompts=5)),
}


@pytest.fixture(scope="module")
def results(context):
  """name -> what the experiment leaves."""
  return {name: module.run(context(0), settings) for name, (module, settings) in RUNS.items()}


@pytest.mark.parametrize("name", RUNS)
def test_what_is_left_is_plain_numbers_and_finite_arrays(results, name):
  summary, arrays = results[name]
  assert json.loads(json.dumps(summary, allow_nan=False)) == summary
  for label, array in arrays.items():
    assert array.dtype != object and np.isfinite(array).all(), label


@pytest.mark.parametrize("name", ["course", "recursion", "walk", "extrapolation"])
def test_an_experiment_repeats(context, results, name):
  module, settings = RUNS[name]
  again = module.run(context(0), settings)
  assert again.summary == results[name].summary
  for label, array in again.arrays.items():
    np.testing.assert_array_equal(array, results[name].arrays[label], err_msg=label)


def test_the_course_ends_with_the_trained_weights(context, gpt, results):
  summary, arrays = results["course"]
  assert summary["steps"][-1] == 40 and summary["steps"] == sorted(summary["steps"])
  starts = context(0).starts("test", 2)
  prompted, theta = alignment.ask(gpt, starts, 3, context(0).key("course"))
  np.testing.assert_allclose(arrays["prompted"], prompted)
  last = np.asarray(gpt.evaluate(theta)["test_loss"]).reshape(2, 3)
  np.testing.assert_allclose(arrays["achieved.recorded"][-1], last, rtol=1e-4)
  assert np.abs(arrays["achieved.recorded"][0] - last).max() > 1e-3
  wanted = alignment.summary(prompted, last, gpt.statistics.prompt_range)["mean"]
  assert summary["recorded"][-1] == pytest.approx(wanted, rel=1e-3)


def test_recursion_updates_what_the_last_update_gave(context, gpt, results):
  summary, arrays = results["recursion"]
  assert summary["updates"] == [1, 3] and summary["prompt"] == gpt.metric.best_prompt
  fresh = context(0).fresh(2)
  first = context(0).update(fresh, summary["prompt"], context(0).key("recursion", "update", 0))
  second = context(0).update(first, summary["prompt"], context(0).key("recursion", "update", 1))
  for number, theta in enumerate((fresh, first, second)):
    np.testing.assert_allclose(arrays["own.recorded"][:, number], context(0).metric(theta), rtol=1e-3)
    np.testing.assert_allclose(arrays["own.final"][:, number], context(0).metric(theta, "final"), rtol=1e-3)
  doubled = context(0).metric(2 * np.asarray(fresh))
  np.testing.assert_allclose(arrays["double.recorded"][:, 0], doubled, rtol=1e-4)
  assert summary["inits"]["own"]["recorded"]["after"][1] == pytest.approx(arrays["own.recorded"][:, 3].mean())


def test_numbers_that_are_not_finite_are_none(context, gpt):
  exploding = dataclasses.replace(gpt, metric_name="test_loss")
  exploding.__dict__["update"] = lambda theta, *rest, **named: jnp.full_like(theta, jnp.nan)
  summary, _ = recursion.run(
    dataclasses.replace(context(0), gpt=exploding), recursion.Settings(networks=2, updates=1, inits=("own",))
  )
  assert summary["inits"]["own"]["recorded"]["after"] == [None]


def test_further_steps_begin_where_each_start_is(context, gpt, results):
  summary, arrays = results["further_steps"]
  assert set(summary["starts"]) == {"initial", "update", "retrieval", "soup"} and summary["optimizer"] == "sgd"
  corpus, train = context(0).corpus, context(0).split.train
  ends = corpus.read(corpus.metrics["test_loss"], train)[:, -1]
  assert summary["level"] == pytest.approx(ends.mean())
  np.testing.assert_allclose(arrays["initial.recorded"][:, 0], context(0).metric(context(0).fresh(2)), rtol=1e-4)
  settled = dataclasses.replace(context(0).optimizers, networks=2)
  begun = jnp.concatenate(baselines.initial_networks(gpt.task, 0, settled))
  updated = context(0).update(begun, gpt.metric.best_prompt, context(0).key("further_steps"))
  np.testing.assert_allclose(arrays["update.final"][:, 0], context(0).metric(updated[-2:], "final"), rtol=1e-3)
  # The checkpoints nearest to the prompt are at the ends of the best runs, the others taken by those before.
  best = np.sort(corpus.read(corpus.metrics["test_loss"], train).min(axis=1))
  np.testing.assert_allclose(arrays["retrieval.recorded"][:, 0], best[8:10], rtol=1e-4)
  for start, told in summary["starts"].items():
    mean = arrays[f"{start}.recorded"].mean(axis=0)
    assert told["recorded"]["start"] == pytest.approx(mean[0], rel=1e-4)
    assert min(mean) - 1e-6 <= told["recorded"]["area"] <= max(mean) + 1e-6


def test_the_landscape_holds_its_samples_and_the_start(context, results):
  summary, arrays = results["landscape"]
  x, y = arrays["x"], arrays["y"]
  for place in np.concatenate([arrays["sample_at"], arrays["start_at"]]):
    assert x[0] < place[0] < x[-1] and y[0] < place[1] < y[-1]
  assert arrays["landscape"].shape == (5, 5) and 0 < summary["explained"] <= 1
  np.testing.assert_allclose(arrays["sample_at"].mean(axis=0), 0, atol=1e-4)
  assert 1 <= summary["basins"] <= 4 == summary["compared"]
  np.testing.assert_array_equal(arrays["barrier"], arrays["barrier"].T)
  assert (arrays["barrier"] >= 0).all() and (np.diag(arrays["barrier"]) == 0).all()
  start = context(0).metric(context(0).fresh(1))
  np.testing.assert_allclose(arrays["start_metric"], start, rtol=1e-5)


def test_a_barrier_is_what_the_line_is_worse_by(context):
  """Between a network and its negative lies a network of nearly nothing; between two orders of its units, no way."""
  corpus = context(0).corpus
  end = corpus.read(corpus.theta, [0], -1)[0]
  twice = np.stack([end, end])
  np.testing.assert_allclose(landscape._barriers(context(0), twice, context(0).metric(twice)), 0, atol=1e-6)
  both = np.stack([end, -end])
  metric = context(0).metric(both)
  spec = context(0).gpt.task.spec
  line = both[0] + landscape._BETWEEN[:, None] * (matching.aligned(spec, both[1], both[0]) - both[0])
  level = metric[0] + landscape._BETWEEN * (metric[1] - metric[0])
  wanted = max(0, (context(0).metric(line) - level).max())
  assert landscape._barriers(context(0), both, metric)[0, 1] == pytest.approx(wanted, rel=1e-4)


def test_the_walk_passes_its_noises_by_steps_alike(context, results):
  summary, arrays = results["walk"]
  assert arrays["tiles"].shape == (12, 10, 8, 8, 1) and summary["frames"] == 12
  noise = jax.random.normal(jax.random.key(0), (3, 50))
  walked = walk.slerp_round(noise, 4)
  np.testing.assert_allclose(walked[::4], noise, rtol=1e-5)
  steps = np.linalg.norm(np.diff(np.asarray(walked), axis=0), axis=1)
  assert steps.max() < 3 * steps.min()
  # Half-way between two independent noises, noise is as long as they are; their mean would be shorter by sqrt(2).
  lengths = np.linalg.norm(np.asarray(walked), axis=1)
  assert lengths.min() > 0.85 * np.linalg.norm(np.asarray(noise), axis=1).min()
  assert (arrays["moved"] > 0).all()


def test_novelty_knows_copies_from_new_networks(context, results):
  summary, arrays = results["novelty"]
  assert set(summary["sets"]) == {
    "training", "unseen", "samples", "noise 0.05", "noise 0.1", "interpolation", "soup", "retrieval"
  }  # fmt: skip
  assert summary["ratio"] == pytest.approx(np.median(arrays["samples.distance"]) / summary["median_distance"])
  # Noise is nearest to what it was added to, and farther the more of it there is.
  sets = summary["sets"]
  assert 0 < sets["noise 0.05"]["distance"] < sets["noise 0.1"]["distance"] < sets["training"]["distance"]
  assert sets["noise 0.1"]["distance"] == pytest.approx(2 * sets["noise 0.05"]["distance"], rel=0.02)
  assert sets["training"]["distance"] == pytest.approx(summary["median_distance"])
  for row in summary["novel_performant"]:
    assert all(0 <= share <= 1 for share in row["shares"].values())
  # At the median of training ends half of them perform, and a half of those at most is farther than the median.
  assert summary["novel_performant"][0]["shares"]["training"] <= 0.5
  shares = [row["shares"]["unseen"] for row in summary["novel_performant"]]
  assert shares == sorted(shares[:3], reverse=True) + shares[3:] and shares[6] >= shares[0]


def test_a_copy_has_all_errors_in_common_and_decides_alike(context):
  references = novelty.references_of(context(0), 16, 8)
  of_references = novelty._decisions(context(0), references.theta)
  judged = novelty._judge(context(0), references.theta[:3], references, of_references, None)
  np.testing.assert_allclose(judged.similarity, 1.0)
  np.testing.assert_allclose(judged.disagreement, 0.0)
  np.testing.assert_allclose(judged.distance, 0.0, atol=0.05)
  others = novelty._judge(context(0), references.theta[:3], references, of_references, np.arange(3))
  assert (others.similarity < 1).all() and (others.disagreement > 0).all() and (others.distance > 0.5).all()


def test_a_level_is_worse_in_the_metric_s_own_direction(context):
  ends = np.array([1.0, 2.0, 4.0])
  assert novelty.performs(context(0), ends, 0.25) == pytest.approx(2.5)
  share = novelty.novel_and_performant(context(0), np.array([2.0, 2.6, 2.4]), np.array([5.0, 5.0, 1.0]), 2.5, 3.0)
  assert share == pytest.approx(1 / 3)


def test_few_evaluations_has_a_row_for_each_temperature_and_number(gpt, results):
  summary, _ = results["few_evaluations"]
  rows = [(row["temperature"], row["evaluations"]) for row in summary["rows"]]
  own = gpt.config
  assert rows == [(t, n) for t in dict.fromkeys((own.temperature, 0.5)) for n in (1, 2, own.steps)]
  assert summary["chosen"] == {"temperature": own.temperature, "evaluations": own.steps}
  # Less noise, less variety.
  apart = {row: value["apart"] for row, value in zip(rows, summary["rows"])}
  assert apart[0.5, 1] < apart[own.temperature, 1]


def test_prompts_beyond_what_was_learned_are_not_clipped(context, gpt, results):
  summary, arrays = results["extrapolation"]
  learned = gpt.statistics.prompt_range
  assert summary["edge"] == learned.low and arrays["prompt"][-1] == gpt.metric.best_prompt < learned.low
  assert len(arrays["prompt"]) == 5 and arrays["prompt"][2] == pytest.approx(learned.low)
  beyond = arrays["achieved.recorded"][:, 3:]
  assert np.abs(beyond[:, 0] - beyond[:, 1]).max() > 1e-6, "a clipped prompt would give the same network twice"
  nobody = dataclasses.replace(gpt, statistics=gpt.statistics._replace(prompt_range=None))
  with pytest.raises(UserError, match="extrapolation: nobody knows which prompts imported weights learned"):
    extrapolation.run(dataclasses.replace(context(0), gpt=nobody), extrapolation.Settings())


def test_where_the_best_prompt_was_learned_there_is_nothing_beyond(context, gpt):
  wide = gpt.statistics._replace(prompt_range=PromptRange(0.01, 2.0))
  settings = extrapolation.Settings(networks=2, prompts=5)
  free = dataclasses.replace(context(0), gpt=dataclasses.replace(gpt, statistics=wide))
  summary, arrays = extrapolation.run(free, settings)
  assert arrays["prompt"].min() == pytest.approx(0.01) and summary["recorded"]["slope_beyond"] is None


def test_retrieval_takes_the_nearest_checkpoint_of_the_training_runs(context):
  corpus, train = context(0).corpus, context(0).split.train
  metric = corpus.read(corpus.metrics["test_loss"], train)
  prompted = np.array([[0.0, metric[3, 2], 9.0]])
  theta = without_model.nearest_checkpoints(context(0), prompted[0])
  np.testing.assert_array_equal(theta[1], corpus.read(corpus.theta, train[[3]], 2)[0])
  got = without_model.retrieved(context(0), prompted)["recorded"]
  np.testing.assert_allclose(got, [[metric.min(), metric[3, 2], metric.max()]], rtol=1e-4)


def test_interpolation_ends_at_the_start_and_at_the_best_end(context):
  starts = context(0).starts("test", 2)
  corpus, train = context(0).corpus, context(0).split.train
  best = corpus.read(corpus.metrics["test_loss"], train)[:, -1].min()
  prompted = np.stack([np.array([best, own]) for own in np.asarray(starts.metric)])
  got = without_model.interpolated(context(0), starts, prompted)
  np.testing.assert_allclose(got["recorded"], prompted, rtol=1e-3)
  final = context(0).metric(starts.theta, "final")
  np.testing.assert_allclose(got["final"][:, 1], final, rtol=1e-4)


def test_a_soup_of_one_network_in_many_orders_is_that_network(context):
  spec = context(0).gpt.task.spec
  first = context(0).corpus.read(context(0).corpus.theta, [1], -1)[0]
  rng = np.random.default_rng(0)
  index = matching.unit_index(spec, 0)
  orders = [first]
  for _ in range(3):
    other = first.copy()
    other[index] = other[index[rng.permutation(len(index))]]
    orders.append(other)
  soup = without_model.soups(spec, np.stack(orders), np.array([[0, 1, 2, 3]]))
  np.testing.assert_allclose(soup[0], first, rtol=1e-5, atol=1e-6)
