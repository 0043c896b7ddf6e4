"""Optimizers are tuned fairly, computed once, resumed, refused under other settings, and matched in steps."""

import dataclasses
import math

import numpy as np
import pytest

from g_pt import keys
from g_pt.errors import ConfigError, UserError
from g_pt.optimizers import baselines, curves
from g_pt.optimizers.baselines import Baseline, OptimizersConfig
from g_pt.optimizers.curves import Curves
from g_pt.optimizers.kept import load_or_run

SETTINGS = OptimizersConfig(networks=3, tuning_networks=2, points=4, optimizers=("sgd", "adamw"))
SEED = 3


@pytest.fixture(scope="module")
def task(toy):
  """Judged by its loss alone, so that what is best can be worked out."""
  measurement = dataclasses.replace(toy.measurement, metrics={"test_loss": toy.metric("test_loss")})
  return dataclasses.replace(toy, measurement=measurement)


@pytest.fixture(scope="module")
def made(toy, tmp_path_factory):
  """(what was made, the folder it is kept in)."""
  folder = tmp_path_factory.mktemp("corpus") / "optimizers"
  return load_or_run(toy, toy.training.recipe, toy.load(None), SETTINGS, SEED, folder), folder


def again(toy, folder, settings=SETTINGS, seed=SEED, **recipe):
  return load_or_run(toy, dataclasses.replace(toy.training.recipe, **recipe), toy.load(None), settings, seed, folder)


def assert_same(found, wanted):
  assert found.edge == wanted.edge
  np.testing.assert_array_equal(found.best, wanted.best)
  for a, b in ((getattr(found, name), getattr(wanted, name)) for name in ("tuning", "choosing", "fresh")):
    for name in ("learning_rate", "decay", "step"):
      np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert a.numbers.keys() == b.numbers.keys()
    for part, metrics in b.numbers.items():
      assert a.numbers[part].keys() == metrics.keys()
      for name, values in metrics.items():
        np.testing.assert_array_equal(a.numbers[part][name], values)


def test_networks_are_of_their_own_streams(toy):
  tuning, choosing, fresh = baselines.initial_networks(toy, SEED, SETTINGS)
  assert [len(theta) for theta in (tuning, choosing, fresh)] == [2, 6, 3]
  assert len(np.unique(np.concatenate([fresh, tuning, choosing]), axis=0)) == 11
  # However many there are: each has its number's key.
  np.testing.assert_array_equal(baselines.fresh_networks(toy, SEED, 2), fresh[:2])
  own = toy.network.init(keys.stream(SEED, "evaluate", "fresh", 2))
  np.testing.assert_allclose(toy.spec.flatten(own), fresh[2], rtol=1e-6)


def test_an_optimizer_has_its_curves_of_both_kinds_of_networks(made, toy):
  found, _ = made
  assert list(found) == ["sgd", "adamw"]
  for baseline in found.values():
    tuning, fresh = baseline.tuning, baseline.fresh
    assert set(tuning.numbers) == {"recorded"} and set(fresh.numbers) == {"recorded", "final"}
    assert set(tuning.numbers["recorded"]) == set(fresh.numbers["final"]) == set(toy.measurement.metrics)
    assert tuning.numbers["recorded"]["test_loss"].shape == (len(tuning.decay), 2, 5)
    assert fresh.numbers["final"]["test_loss"].shape == (len(baseline.best), 3, 5)
    # Every rate with every decay.
    pairs = set(zip(tuning.learning_rate, tuning.decay))
    assert len(pairs) == len(tuning.decay) == len(set(tuning.learning_rate)) * len(curves.DECAYS)
    np.testing.assert_array_equal(fresh.learning_rate, tuning.learning_rate[baseline.best])
    np.testing.assert_array_equal(fresh.decay, tuning.decay[baseline.best])


def test_what_is_there_is_read_and_what_is_not_is_made_the_same(made, toy, tmp_path):
  wanted, folder = made
  for name in ("sgd", "adamw"):
    (tmp_path / f"{name}.npz").write_bytes((folder / f"{name}.npz").read_bytes())
  (tmp_path / "adamw.npz").unlink()
  before = (tmp_path / "sgd.npz").stat().st_mtime_ns
  found = again(toy, tmp_path)
  assert (tmp_path / "sgd.npz").stat().st_mtime_ns == before
  assert sorted(path.name for path in tmp_path.iterdir()) == ["adamw.npz", "sgd.npz"]
  for name, baseline in wanted.items():
    assert_same(found[name], baseline)
  # An evaluation that asks for one of them shares its file.
  (only,) = again(toy, tmp_path, dataclasses.replace(SETTINGS, optimizers=("sgd",))).items()
  assert only[0] == "sgd"
  assert_same(only[1], wanted["sgd"])


@pytest.mark.parametrize(
  ("changed", "named"),
  [
    ({"settings": dataclasses.replace(SETTINGS, networks=4)}, "optimizers.networks is 3 there, 4 here"),
    ({"settings": dataclasses.replace(SETTINGS, points=9)}, "optimizers.points is 4 there, 9 here"),
    ({"seed": 4}, "seed is 3 there, 4 here"),
    ({"epochs": 3}, "recipe.epochs is 2 there, 3 here"),
  ],
)
def test_other_settings_are_refused_by_name(made, toy, changed, named):
  with pytest.raises(UserError, match=named) as refused:
    again(toy, made[1], **changed)
  assert str(made[1]) in str(refused.value) and "\n" not in str(refused.value)


def test_the_recipe_s_own_optimizer_does_not_matter(made, toy):
  assert_same(again(toy, made[1], optimizer="momentum")["sgd"], made[0]["sgd"])


def test_a_file_that_is_none_is_refused(made, toy, tmp_path):
  whole = (made[1] / "sgd.npz").read_bytes()
  for content in (b"", b"not curves", whole[: len(whole) // 2]):
    (tmp_path / "sgd.npz").write_bytes(content)
    with pytest.raises(UserError, match="sgd.npz: not curves of an optimizer"):
      again(toy, tmp_path)


def test_an_unknown_optimizer_is_refused(toy, tmp_path):
  with pytest.raises(ConfigError, match="unknown 'sdg'; those of 'toy' are: sgd, "):
    again(toy, tmp_path, dataclasses.replace(SETTINGS, optimizers=("sdg",)))


def test_a_run_that_diverges_everywhere_is_refused(toy, tmp_path, monkeypatch):
  monkeypatch.setitem(baselines.CENTRES, "sgd", 1e30)
  with pytest.raises(UserError, match="optimizer 'sgd' diverges at every learning rate"):
    again(toy, tmp_path, dataclasses.replace(SETTINGS, optimizers=("sgd",)))
  assert not list(tmp_path.iterdir())


STEP = np.array([0, 1, 3, 10, 30, 100])


def descent(optimum, diverges=math.inf):
  """(learning rate, decay) pairs -> curves that fall the faster, the nearer the rate is to `optimum`."""

  def run(combinations):
    rates, decays = np.array(combinations).T
    speed = np.exp(-np.abs(np.log(rates / optimum))) * np.where(np.isinf(decays), 1, 0.9)
    mean = 2.3 * np.exp(-speed[:, None] * STEP / 30) + 0.05
    mean[rates >= diverges, -1] = np.nan
    step = np.tile(STEP, (len(rates), 1))
    return Curves(rates, decays, step, {"recorded": {"test_loss": mean[:, None].astype(np.float32)}})

  return run


@pytest.mark.parametrize("optimum", [3.0, 0.1, 0.003], ids=["above", "in the middle", "below"])
def test_the_grid_grows_until_the_best_rate_is_inside(task, optimum):
  centre = curves.grid_index(0.1)
  tuning, edge = baselines.tune(task, descent(optimum), centre)
  assert not edge
  best = tuning.learning_rate[baselines.best_combinations(task, tuning)]
  np.testing.assert_array_equal(np.unique(best), [optimum])
  index = curves.grid_index(optimum)
  grid = range(min(centre, index) - 1, max(centre, index) + 2)
  np.testing.assert_array_equal(np.unique(tuning.learning_rate), [curves.grid_rate(i) for i in grid])


def test_a_best_rate_that_stays_at_the_edge_is_told(task):
  tuning, edge = baselines.tune(task, descent(1e5), centre=0)
  assert edge
  assert len(np.unique(tuning.learning_rate)) == 3 + baselines.WIDENINGS


def test_what_diverges_is_never_best(task):
  # 1 would be the fastest by far until it is lost.
  tuning, edge = baselines.tune(task, descent(1.0, diverges=1.0), curves.grid_index(0.3))
  assert not edge
  assert set(tuning.learning_rate[baselines.best_combinations(task, tuning)]) == {0.3}


def test_where_all_diverge_the_grid_goes_down(task):
  tuning, edge = baselines.tune(task, descent(0.01, diverges=0.03), centre=1)
  assert not edge
  assert set(tuning.learning_rate[baselines.best_combinations(task, tuning)]) == {0.01}


def baseline_of(tuning, fresh):
  """Two combinations, 0.1 by a constant rate and 0.3 by half a cosine; curves [combination, net, point]."""

  def curves_of(parts):
    numbers = {part: {"test_loss": np.asarray(values, np.float32)} for part, values in parts.items()}
    return Curves(np.array([0.1, 0.3]), np.array([math.inf, 0.5]), np.array([[0, 1, 10, 100], [0, 1, 5, 50]]), numbers)

  tuning = curves_of({"recorded": tuning})
  return Baseline(tuning, np.array([0, 1]), tuning, curves_of(fresh), False)


FAST, LOW = [2.0, 1.0, 0.5, 0.375], [2.0, 1.5, 0.75, 0.25]


def test_tuning_alone_decides_which_curve_is_matched(task):
  # On the fresh networks it is the other way round.
  baseline = baseline_of([[FAST], [LOW]], {"recorded": [[LOW], [FAST]]})
  assert baselines.choose(task, baseline, "test_loss", 1.0) == 0
  assert baselines.choose(task, baseline, "test_loss", 0.3) == 1
  # Nothing is as good: the best.
  assert baselines.choose(task, baseline, "test_loss", 0.1) == 1


def test_a_combination_that_only_just_gets_there_is_not_counted_on(task):
  """The first is sooner by its mean, but half of the networks never would be."""
  near = np.stack([np.linspace(2.0, end, 4) for end in (0.9, 1.08, 0.9, 1.08)])
  sure = np.tile([2.0, 1.9, 1.5, 0.5], (4, 1))
  step = np.array([[0, 1, 10, 60], [0, 1, 10, 100]])
  tuning = Curves(np.array([0.1, 0.3]), np.array([0.5, 1.0]), step, {"recorded": {"test_loss": np.stack([near, sure])}})
  baseline = Baseline(tuning, np.array([0, 1]), tuning, tuning, False)
  assert near.mean(axis=0)[-1] < 1.0
  assert baselines.choose(task, baseline, "test_loss", 1.0) == 1
  # A level that all of its networks reach is its own.
  assert baselines.choose(task, baseline, "test_loss", 1.6) == 0


def test_networks_of_other_groups_decide_with_those_it_was_tuned_on(task):
  """What tuning found soonest was luck of its one group."""
  tuning = baseline_of([[FAST], [LOW]], {"recorded": [[FAST], [LOW]]})
  slow = [2.0, 1.9, 1.8, 1.7]
  others = tuning.choosing._replace(numbers={"recorded": {"test_loss": np.array([[slow] * 3, [LOW] * 3], np.float32)}})
  assert baselines.choose(task, tuning, "test_loss", 1.0) == 0
  assert baselines.choose(task, tuning._replace(choosing=others), "test_loss", 1.0) == 1


def test_steps_to_match_tell_whose_they_are(task):
  nets = np.array([FAST, LOW]), np.array([LOW, LOW])
  baseline = baseline_of([[FAST], [LOW]], {"recorded": nets, "final": [nets[0] + 1, nets[1] + 1]})
  matched = baselines.steps_to_match(task, baseline, 0, "test_loss", "recorded", np.array([0.625, 0.625]))
  assert matched["steps"] == pytest.approx(10)
  assert (matched["learning_rate"], matched["decay"]) == (0.1, None)
  assert matched["best_mean"] == pytest.approx(0.3125)
  low, high = matched["interval"]
  assert low < 10 < high
  # Of the one network alone 100 steps were not enough.
  matched = baselines.steps_to_match(task, baseline, 0, "test_loss", "recorded", np.array([0.3125]))
  assert (matched["steps"], matched["interval"]) == (None, [None, None])
  matched = baselines.steps_to_match(task, baseline, 1, "test_loss", "final", np.array([1.25, 1.25]))
  assert matched["steps"] == pytest.approx(50)
  assert (matched["learning_rate"], matched["decay"], matched["best_mean"]) == (0.3, 0.5, 1.25)


def test_the_mean_after_one_step_is_told_where_there_is_one(task):
  nets = np.array([[2.0, 1.5, 0.5, 0.125], [2.0, 1.0, 0.5, 0.375]])
  baseline = baseline_of([[FAST], [LOW]], {"recorded": [nets, nets]})

  def first_step(baseline):
    return baselines.steps_to_match(task, baseline, 0, "test_loss", "recorded", np.ones(2))["first_step"]

  assert first_step(baseline) == pytest.approx(1.25)
  nets[0, 1] = np.inf
  assert first_step(baseline_of([[FAST], [LOW]], {"recorded": [nets, nets]})) is None
  later = baseline._replace(fresh=baseline.fresh._replace(step=2 * baseline.fresh.step))
  assert first_step(later) is None


def test_networks_are_resampled_on_both_sides_together(task):
  # Each network is its own curve's at step 10: however they are drawn, their means meet there.
  rng = np.random.default_rng(0)
  nets = rng.uniform(1, 5, (20, 1)) * np.array(FAST)
  baseline = baseline_of([[FAST], [LOW]], {"recorded": [nets, nets]})
  achieved = nets[:, 2].astype(np.float32)
  matched = baselines.steps_to_match(task, baseline, 0, "test_loss", "recorded", achieved)
  assert matched["interval"] == [pytest.approx(10, rel=1e-4)] * 2
  apart = baselines.steps_to_match(task, baseline, 0, "test_loss", "recorded", rng.permutation(achieved))
  assert apart["steps"] == pytest.approx(10, rel=1e-4)
  assert apart["interval"][0] < 8 and (apart["interval"][1] is None or apart["interval"][1] > 12)


def test_an_interval_is_open_where_too_many_resamples_never_match(task):
  nets = np.array([[2.0, 1.0, 0.5, 0.125], [2.0, 1.0, 0.5, 0.375]])
  baseline = baseline_of([[FAST], [LOW]], {"recorded": [nets, nets]})
  matched = baselines.steps_to_match(task, baseline, 0, "test_loss", "recorded", np.array([0.25, 0.25]))
  # Drawn twice, the second network never gets there: a quarter of the resamples.
  assert matched["steps"] == pytest.approx(100)
  assert matched["interval"][0] < 100 and matched["interval"][1] is None


def test_more_networks_than_curves_are_refused(task):
  baseline = baseline_of([[FAST], [LOW]], {"recorded": [[FAST], [LOW]]})
  with pytest.raises(ValueError, match="2 networks are compared with curves of 1"):
    baselines.steps_to_match(task, baseline, 0, "test_loss", "recorded", np.ones(2))
