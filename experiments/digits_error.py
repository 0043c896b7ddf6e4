"""docstring later"""

from ml_collections import ConfigDict

from experiments import digits_loss


def get_config(variant: str = "default") -> ConfigDict:
  config = digits_loss.get_config(variant)
  config.metric = "test_error"
  return config
