"""Unsound runs are dropped and counted; the last sound ones are held out; statistics are those of the training runs."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from g_pt.corpus.prepare import PrepareConfig, prepare, sound_runs
from g_pt.corpus.store import Corpus, Manifest
from g_pt.errors import CorpusError
from g_pt.parameters import ParameterSpec

RUNS, CHECKPOINTS = 23, 7
SHAPES = {"bias": (2,), "kernel": (2, 3)}
SPEC = ParameterSpec.of({name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in SHAPES.items()})
MANIFEST = Manifest(
  task="toy",
  settings={},
  parameters=[["bias", [2]], ["kernel", [2, 3]]],
  metrics=["error", "loss"],
  runs=RUNS,
  checkpoints=CHECKPOINTS,
  group_size=10,
  versions={},
)
UNSOUND = (0, 5, 11, 12, 22)


def contents():
  """theta and loss of a corpus with one run of each kind that does not count."""
  rng = np.random.default_rng(0)
  theta = rng.normal(size=(RUNS, CHECKPOINTS, SPEC.size)).astype(np.float32)
  loss = rng.uniform(size=(RUNS, CHECKPOINTS)).astype(np.float32)
  theta[0, 3, 4] = np.nan
  theta[5, 6, 0] = -np.inf
  theta[11, 1, 7] = 10.1
  theta[12, 0, 0] = -10.1
  loss[22, 6] = np.inf
  theta[13, 2, 2] = -10.0  # exactly at the bound, which counts
  return theta, loss


def write(path, theta, loss, groups=range(3)):
  corpus = Corpus.create(path, MANIFEST)
  for group in groups:
    runs = corpus.runs_of_group(group)
    steps = np.tile(np.arange(CHECKPOINTS, dtype=np.int32), (len(runs), 1))
    corpus.write_group(group, theta[runs], {"loss": loss[runs], "error": 100 * loss[runs]}, steps)
  return corpus


@pytest.fixture
def corpus(tmp_path):
  return write(tmp_path, *contents())


def test_sound_runs_are_finite_and_not_exploded():
  theta, loss = contents()
  np.testing.assert_array_equal(sound_runs(theta, loss, 10.0), np.setdiff1d(np.arange(RUNS), UNSOUND))
  assert 13 not in sound_runs(theta, loss, 9.9)


def test_unsound_runs_are_dropped_and_counted_and_the_last_are_held_out(corpus):
  theta, loss = contents()
  sound = np.setdiff1d(np.arange(RUNS), UNSOUND)
  prepared = prepare(corpus, SPEC, "loss", PrepareConfig(test_runs=4))
  np.testing.assert_array_equal(prepared.train.theta, theta[sound[:-4]])
  np.testing.assert_array_equal(prepared.train.metric, loss[sound[:-4]])
  np.testing.assert_array_equal(prepared.test.theta, theta[sound[-4:]])
  np.testing.assert_array_equal(prepared.test.metric, loss[sound[-4:]])
  statistics = prepared.statistics
  assert (statistics.runs, statistics.test_runs, statistics.rejected, statistics.checkpoints) == (18, 4, 5, CHECKPOINTS)
  assert json.loads(json.dumps(statistics._asdict())) == statistics._asdict()


def test_metric_statistics_are_of_training_runs_alone(corpus):
  _, loss = contents()
  kept = loss[np.setdiff1d(np.arange(RUNS), UNSOUND)[:-4]]
  statistics = prepare(corpus, SPEC, "loss", PrepareConfig(test_runs=4)).statistics
  assert (statistics.metric_lowest, statistics.metric_highest) == (kept.min(), kept.max())
  np.testing.assert_allclose(statistics.mean_final_metric, kept[:, -1].mean(), rtol=1e-6)
  assert prepare(corpus, SPEC, "error", PrepareConfig(test_runs=4)).statistics.metric_highest > 1


def test_layer_statistics_are_standard_deviations_of_starts_and_of_updates(tmp_path):
  """Checkpoint c of a run is its first plus c: an update is the whole number between two checkpoints."""
  rng = np.random.default_rng(1)
  first = np.concatenate([rng.normal(0, 1, (RUNS, 2)), rng.normal(0, 0.1, (RUNS, 6))], axis=1)
  theta = first[:, None] + np.arange(CHECKPOINTS)[:, None] * np.float32([1] * 2 + [0.01] * 6)
  corpus = write(tmp_path, theta.astype(np.float32), np.ones((RUNS, CHECKPOINTS), np.float32))
  statistics = prepare(corpus, SPEC, "loss", PrepareConfig(test_runs=3)).statistics
  # Every target but the first is as likely, and every start before it.
  pairs = [(start, target) for target in range(1, CHECKPOINTS) for start in range(target)]
  weight = np.array([1 / target for _, target in pairs]) / (CHECKPOINTS - 1)
  gap = np.array([target - start for start, target in pairs])
  update = np.sqrt(weight @ gap**2 - (weight @ gap) ** 2)
  assert statistics.update_std["bias"] == pytest.approx(update, rel=0.05)
  assert statistics.update_std["kernel"] == pytest.approx(0.01 * update, rel=0.05)
  starts = np.array([start for start, _ in pairs])
  starts = weight @ starts**2 - (weight @ starts) ** 2
  train = first[:-3]
  assert statistics.start_std["bias"] == pytest.approx(np.sqrt(starts + train[:, :2].var()), rel=0.05)
  assert statistics.start_std["kernel"] == pytest.approx(np.sqrt(1e-4 * starts + train[:, 2:].var()), rel=0.05)


def test_an_unfinished_corpus_is_refused(tmp_path):
  corpus = write(tmp_path, *contents(), groups=(0, 2))
  with pytest.raises(CorpusError, match=r"unfinished \(2 of 3 groups are there\); run --stage=corpus"):
    prepare(corpus, SPEC, "loss", PrepareConfig(test_runs=4))


def test_an_unknown_metric_is_refused(corpus):
  with pytest.raises(CorpusError, match=f"{corpus.path}: no metric 'return' recorded; there is: error, loss"):
    prepare(corpus, SPEC, "return", PrepareConfig(test_runs=4))


def test_too_few_sound_runs_are_refused(corpus):
  prepare(corpus, SPEC, "loss", PrepareConfig(test_runs=17))
  with pytest.raises(CorpusError, match=r"18 sound runs \(5 rejected\) cannot give corpus.test_runs=18"):
    prepare(corpus, SPEC, "loss", PrepareConfig(test_runs=18))
