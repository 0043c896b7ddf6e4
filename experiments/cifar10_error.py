"""A G.pt of CIFAR-10 classifiers by test error, which has no gradient: the corpus and model of `cifar10_loss`.

Claim: the metric is never differentiated, so an error is prompted like a loss.

  command   python main.py --config=experiments/cifar10_error.py --workdir=runs/cifar10_error
  time      as `cifar10_loss`
  expect    not measured yet

`--config.corpus.path=runs/cifar10_loss/corpus` takes the corpus of `cifar10_loss`, which is the same.
`:paper` is the published model and scale; `:smoke` runs every stage in seconds.
"""

from ml_collections import ConfigDict

from experiments import cifar10_loss


def get_config(variant: str = "default") -> ConfigDict:
  config = cifar10_loss.get_config(variant)
  config.metric = "test_error"
  if variant == "default":
    config.train.steps = 800
  return config
