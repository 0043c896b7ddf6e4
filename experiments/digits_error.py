"""A G.pt of digit classifiers by test error, which has no gradient: the corpus and model of `digits_loss`.

Claim: the metric is never differentiated, so an error is prompted like a loss.

  command   python main.py --config=experiments/digits_error.py --workdir=runs/digits_error
  time      7.5 minutes on two CPU cores; 6 with the corpus of `digits_loss`
  expect    prompt alignment 0.92 on unseen runs; one update at prompt 2 % takes unseen
            networks from a mean test error of 89.7 % to 5.3 % (runs end at 2.8 %)

`--config.corpus.path=runs/digits_loss/corpus` takes the corpus of `digits_loss`, which is the same.
`:paper` and `:smoke` are those of `digits_loss`.
"""

from ml_collections import ConfigDict

from experiments import digits_loss


def get_config(variant: str = "default") -> ConfigDict:
  config = digits_loss.get_config(variant)
  config.metric = "test_error"
  if variant == "default":
    config.sample.steps = 50
  return config
