"""A G.pt of CIFAR-10 classifiers by test error, which has no gradient: the corpus and model of `cifar10_loss`.

Claim: the metric is never differentiated, so an error is prompted like a loss.

  command   python main.py --config=experiments/cifar10_error.py --workdir=runs/cifar10_error
  time      48 minutes on two CPU cores with other work beside and the corpus of `cifar10_loss`:
            training 45 (1 step a second alone, 20 minutes), evaluation 3
  expect    (of an earlier version, before data were held out; to be measured again)
            prompt alignment 0.428 on unseen runs (0.472 on training runs); one update at prompt 35 %
            takes unseen networks from a mean test error of 89.8 % to 63.2 % (59.7 to 66.5 %); runs
            end at 62.7 %

What limits it: prompts run from 35 %, and no network of the corpus errs less than 58 %; to meet
all other prompts would be 0.62.

Parameters diffused have 0.37 after 800 steps of 1,200 (16 networks), the update 0.31 at the end of
800. By loss they have 0.30 after 400 of 1,200, the update 0.24, and which ends better was not tried.

`--config.corpus.path=runs/cifar10_loss/corpus` takes the corpus of `cifar10_loss`, which is the same.
`:paper` is the published model and scale; `:smoke` runs every stage in seconds.
"""

from ml_collections import ConfigDict

from experiments import cifar10_loss


def get_config(variant: str = "default") -> ConfigDict:
  config = cifar10_loss.get_config(variant)
  config.metric = "test_error"
  if variant == "default":
    config.diffusion.variable = "parameters"
  return config
