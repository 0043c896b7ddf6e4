"""A G.pt of CIFAR-10 classifiers by test error, which has no gradient: the corpus and model of `cifar10_loss`.

Claim: the metric is never differentiated, so an error is prompted like a loss.

  command   python main.py --config=experiments/cifar10_error.py --workdir=runs/cifar10_error
  time      on two CPU cores (EPYC, AVX-512) with the corpus of `cifar10_loss` and its optimizers' curves:
            training 22 minutes with another training beside, alignment and one update 1
  expect    prompt alignment 0.310 on test runs (0.291 on training runs, 0.243 on held-out images); one
            update at prompt 35 % takes fresh networks from a mean test error of 90.7 % to 66.4 % (63.6 to
            69.2 %; held-out 67.4 %, whole test set 66.8 %), worth 2,014 steps of AdamW (1,814 to 2,270);
            runs end at 63.9 %

What limits it: prompts run from 35 %, and no network of the corpus errs less than 58 %: the nearest
checkpoint of the corpus itself has an alignment of 0.67.

With an earlier version and 1,000 images: parameters diffused have 0.37 after 800 steps of 1,200
(16 networks), the update 0.31 at the end of 800. By loss they have 0.30 after 400 of 1,200, the
update 0.24, and which ends better was not tried.

`--config.corpus.path=runs/cifar10_loss/corpus` takes the corpus of `cifar10_loss`, which is the same.
`:paper` is the published model and scale; `:smoke` runs every stage in seconds.
"""

from ml_collections import ConfigDict

from experiments import cifar10_loss


def get_config(variant: str = "default") -> ConfigDict:
  config = cifar10_loss.get_config(variant)
  config.metric = "test_error"
  return config
