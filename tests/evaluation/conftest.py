"""What evaluations are given: the tiny G.pt of the smoke workdir, and its corpus."""

import functools

import pytest

from g_pt import config, trained
from g_pt.corpus.split import split_runs
from g_pt.corpus.store import Corpus
from g_pt.evaluation.base import Context


@pytest.fixture(scope="package")
def context(gpt, smoke_workdir, smoke_values, tmp_path_factory):
  """seed -> Context; each seed's optimizers have a folder of their own."""
  experiment = config.parse(smoke_values)
  opened = Corpus.open(smoke_workdir / "corpus")

  @functools.cache
  def of(seed):
    return Context(
      gpt=gpt,
      corpus=opened,
      split=split_runs(opened, experiment.split),
      seed=seed,
      training_seconds=7.25,
      optimizers=experiment.optimizers,
      optimizers_folder=tmp_path_factory.mktemp("curves"),
      history=functools.partial(trained.history, smoke_workdir, gpt.generator),
    )

  return of
