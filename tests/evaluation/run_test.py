"""All evaluations of a workdir: what the report and the summary are made of, the same for the same seed."""

import dataclasses
import json

import numpy as np
import pytest

from g_pt import config, workdir
from g_pt.corpus.prepare import prepare
from g_pt.corpus.store import Corpus
from g_pt.evaluation.run import evaluate


@pytest.fixture(scope="module")
def evaluated(gpt, smoke_workdir, smoke_values):
  """seed -> (summary, arrays), with one optimizer."""
  experiment = config.parse(smoke_values)
  prepared = prepare(Corpus.open(smoke_workdir / workdir.CORPUS), gpt.task.spec, gpt.metric_name, experiment.prepare)
  quick = dataclasses.replace(gpt, task=dataclasses.replace(gpt.task, optimizers=("sgd",)))

  def evaluated(seed):
    step = np.arange(prepared.statistics.checkpoints)
    data = gpt.task.load(None)
    return evaluate(quick, prepared, step, experiment.recipe, data, experiment.evaluate, seed)

  return evaluated


def test_the_summary_and_the_arrays_hold_together(evaluated, gpt):
  summary, arrays = evaluated(0)
  assert json.loads(json.dumps(summary, allow_nan=False)) == summary
  assert all(np.isfinite(values).all() for values in arrays.values())
  assert arrays["alignment.test.prompted"].shape == arrays["alignment.train.achieved"].shape == (3, 4)
  one = summary["one_update"]
  assert one["achieved_min"] <= one["achieved_mean"] == pytest.approx(arrays["one_update.achieved"].mean())
  assert one["networks"] == len(arrays["one_update.achieved"]) == 3
  assert one["optimizer_final_mean"]["sgd"] == pytest.approx(arrays["curves.sgd"][:, -1].mean())
  assert summary["corpus"] == {
    "runs": 20,
    "test_runs": 4,
    "rejected": 0,
    "checkpoints": 6,
    "final_mean": gpt.statistics.mean_final_metric,
  }
  assert arrays["corpus.histogram_count"].sum() == 16 * 6
  assert (np.diff(arrays["corpus.quantile"], axis=0) >= 0).all()


def test_the_seed_alone_decides(evaluated):
  (summary, arrays), (again, arrays_again), (other, _) = evaluated(1), evaluated(1), evaluated(2)
  assert summary == again
  for name, values in arrays.items():
    np.testing.assert_array_equal(values, arrays_again[name], err_msg=name)
  assert other["one_update"]["achieved_mean"] != summary["one_update"]["achieved_mean"]
