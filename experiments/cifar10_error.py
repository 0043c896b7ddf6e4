"""A G.pt of CIFAR-10 classifiers by test error: the corpus and model of `cifar10_loss`.

Claim: an error is prompted like a loss, though it cannot be differentiated.

  command   python main.py --config=experiments/cifar10_error.py --workdir=runs/cifar10_error
  time      on two CPU cores (Xeon, AVX-512) with the corpus of `cifar10_loss`: training 51 minutes on one
            core with another training on the other, alignment and one update 3 on one core
  expect    prompt alignment 0.745 on test runs (0.743 on training runs, 0.731 on held-out images); one
            update at prompt 35 % takes fresh networks from a mean test error of 90.7 % to 56.7 % (55.4 to
            58.6 %; held-out 56.5 %, whole test set 56.6 %); runs end at 49.2 %. Samples of different starts are
            10.7 apart, hidden units matched, of one start 10.1, ends of runs 15.5; the cosine with the run's own
            way is 0.42; samples lie 12.9 from the nearest training end (ends of unseen runs 13.1)

  long      `cifar10_error.py:long --workdir=runs/cifar10_error_long`, the corpus and model of `cifar10_loss.py:long`.
            On one H200 with three other programs beside: training 9 minutes. Prompt alignment 0.902 on test runs (0.942
            on training runs, 0.902 on held-out images); one update at prompt 35 % takes fresh networks from 90.4 % to
            49.9 % (47.8 to 52.6 %; held-out and whole test set 49.9 %); runs end at 45.0 %. Samples of different starts
            are 14.8 apart, hidden units matched, of one start 8.6, ends of runs 18.8; the cosine with the run's own way
            is 0.45; samples lie 15.7 from the nearest of 32 training ends (ends of unseen runs 17.4). The weights are
            in `experiments/releases/cifar10_error_long`

What limits it: prompts run from 35 %, and no network of the corpus errs less than 44.8 %: the nearest
checkpoint of the corpus itself has an alignment of 0.971. Training and unseen runs are alike. Of a corpus that
ends at 53.0 % (see `cifar10_loss`) the same model had 0.709 and 57.0 %.

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
  return config
