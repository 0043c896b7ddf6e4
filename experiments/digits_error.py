"""A G.pt of digit classifiers by test error, which has no gradient: the corpus and model of `digits_loss`.

Claim: the metric is never differentiated, so an error is prompted like a loss.

  command   python main.py --config=experiments/digits_error.py --workdir=runs/digits_error
  time      DEMO_MINUTES on two CPU cores, all stages
  expect    EXPECTED

`--config.corpus.path=runs/digits_loss/corpus` takes the corpus of `digits_loss`, which is the same.
`:smoke` runs every stage in seconds.
"""

from ml_collections import ConfigDict

from experiments import digits_loss


def get_config(variant: str = "default") -> ConfigDict:
  config = digits_loss.get_config(variant)
  config.metric = "test_error"
  return config
