"""A G.pt of MNIST classifiers by test error, which has no gradient: the corpus and model of `mnist_loss`.

Claim: the metric is never differentiated, so an error is prompted like a loss.

  command   python main.py --config=experiments/mnist_error.py --workdir=runs/mnist_error
  time      28 minutes on two CPU cores with other work beside and the corpus of `mnist_loss` there:
            training 24, evaluation 4
  expect    (of an earlier version, before data were held out; to be measured again)
            prompt alignment 0.919 on unseen runs; one update at prompt 5 % takes unseen networks from a
            mean test error of 89.8 % to 7.1 % (6.0 to 9.2 %); runs end at 5.9 %

Sampling is a choice between the two numbers: cold and stopped early, as here, samples err less
than is asked for in the middle; with `--config.sample.temperature=1 --config.sample.stop=0` the
same model has an alignment of 0.957, and 9.4 % at prompt 5 % (32 networks).

`--config.corpus.path=runs/mnist_loss/corpus` takes the corpus of `mnist_loss`, which is the same.
`:paper` is the published model and scale; `:smoke` runs every stage in seconds.
"""

from ml_collections import ConfigDict

from experiments import mnist_loss


def get_config(variant: str = "default") -> ConfigDict:
  config = mnist_loss.get_config(variant)
  config.metric = "test_error"
  if variant == "default":
    config.train.steps = 3000
  return config
