"""A G.pt of digit classifiers by test error, which has no gradient: the corpus and model of `digits_loss`.

Claim: the metric is never differentiated, so an error is prompted like a loss.

  command   python main.py --config=experiments/digits_error.py --workdir=runs/digits_error
  time      8 minutes on two CPU cores with other work beside and the corpus of `digits_loss`
  expect    prompt alignment 0.926 on unseen runs; one update at prompt 2 % takes unseen networks
            from a mean test error of 89.7 % to 3.4 % (2.5 to 5.0 %), worth 267 steps of Nesterov
            (runs end at 2.8 %)

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
    config.sample.steps = 50
  return config
