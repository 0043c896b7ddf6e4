"""A G.pt of cifar10 classifiers by test error, which has no gradient: the corpus and model of `cifar10_loss`."""

from ml_collections import ConfigDict

from experiments import cifar10_loss


def get_config(variant: str = "default") -> ConfigDict:
  config = cifar10_loss.get_config(variant)
  config.metric = "test_error"
  return config
