"""A G.pt of CIFAR-10 classifiers by test error, which has no gradient: the corpus and model of `cifar10_loss`.

Claim: the metric is never differentiated, so an error is prompted like a loss.

  command   python main.py --config=experiments/cifar10_error.py --workdir=runs/cifar10_error
  time      33 minutes on two CPU cores with other work beside and the corpus of `cifar10_loss`:
            training 30 (1 step a second alone), evaluation 3
  expect    prompt alignment 0.311 on unseen runs (0.356 on training runs), 0.245 after 600 steps and
            still rising; one update at prompt 35 % takes unseen networks from a mean test error
            of 89.8 % to 64.9 % (62.9 to 69.1 %); runs end at 62.7 %

What limits it: prompts run from 35 %, and no network of the corpus errs less than 58 %.

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
