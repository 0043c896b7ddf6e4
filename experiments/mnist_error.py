"""A G.pt of MNIST classifiers by test error, which has no gradient: the corpus and model of `mnist_loss`.

Claim: the metric is never differentiated, so an error is prompted like a loss.

  command   python main.py --config=experiments/mnist_error.py --workdir=runs/mnist_error
  time      as `mnist_loss`; 21 minutes with its corpus
  expect    not measured yet; a G.pt by test loss, prompted for 0, leaves 8.7 % error

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
