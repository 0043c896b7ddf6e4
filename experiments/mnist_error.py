"""A G.pt of mnist classifiers by test error, which has no gradient: the corpus and model of `mnist_loss`."""

from ml_collections import ConfigDict

from experiments import mnist_loss


def get_config(variant: str = "default") -> ConfigDict:
  config = mnist_loss.get_config(variant)
  config.metric = "test_error"
  return config
