"""A G.pt of CIFAR-10 classifiers by test error: the corpus and model of `cifar10_loss`.

Claim: an error is prompted like a loss, though it cannot be differentiated.

  command   python main.py --config=experiments/cifar10_error.py --workdir=runs/cifar10_error
  time      on two CPU cores (Xeon, AVX-512) with the corpus of `cifar10_loss`: training 50 minutes on one
            core with another training on the other, alignment and one update 4 on one core
  expect    prompt alignment 0.709 on test runs (0.716 on training runs, 0.677 on held-out images); one
            update at prompt 35 % takes fresh networks from a mean test error of 90.7 % to 57.0 % (held-out
            57.7 %, whole test set 57.7 %); runs end at 53.0 %. Samples of different starts are 11.2 apart,
            of one start 10.1, ends of runs 16.3; the cosine with the run's own way is 0.42

What limits it: prompts run from 35 %, and no network of the corpus errs less than 48.5 %: the nearest
checkpoint of the corpus itself has an alignment of 0.93. Training and unseen runs are alike.

Without comparing the share of images that networks get wrong, and of a corpus that ends at 63.9 %,
alignment was 0.31 and one update ended at 66.4 %.

`--config.corpus.path=runs/cifar10_loss/corpus` takes the corpus of `cifar10_loss`, which is the same.
`:paper` is the published model and scale; `:smoke` runs every stage in seconds.
"""

from ml_collections import ConfigDict

from experiments import cifar10_loss


def get_config(variant: str = "default") -> ConfigDict:
  config = cifar10_loss.get_config(variant)
  config.metric = "test_error"
  if variant == "long":
    config.train.steps = 4000
  return config
