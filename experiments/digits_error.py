"""A G.pt of digit classifiers by test error, which has no gradient: the corpus and model of `digits_loss`.

Claim: the metric is never differentiated, so an error is prompted like a loss.

  command   python main.py --config=experiments/digits_error.py --workdir=runs/digits_error
  time      3.5 minutes on two CPU cores (EPYC, AVX-512) with another training beside, with the corpus of
            `digits_loss` and its optimizers' curves: training 2.8, evaluation 0.5
  expect    prompt alignment 0.927 on test runs (0.929 on held-out images); one update at prompt 2 %
            takes fresh networks from a mean test error of 90.4 % to 4.1 % (2.2 to 6.1 %), on
            held-out images 4.2 %, worth 120 steps of Nesterov (97); runs end at 3.1 %

Errors between the best and the worst come out lower than was asked, 25 % asked for 16 % got: few
steps of sampling average what networks do, which errs less than any one of them. Alignment is
0.85 in 5 steps, 0.91 in 20 and 0.92 in 50.

`--config.corpus.path=runs/digits_loss/corpus` takes the corpus of `digits_loss`, which is the same.
`:chunk`, `:paper` and `:smoke` are those of `digits_loss`.
"""

from ml_collections import ConfigDict

from experiments import digits_loss


def get_config(variant: str = "default") -> ConfigDict:
  config = digits_loss.get_config(variant)
  config.metric = "test_error"
  if variant == "default":
    config.train.steps = 2500
    config.sample.stop = 0.4
  elif variant == "truncated":
    config.corpus.only_up_to = 10.0
  return config
