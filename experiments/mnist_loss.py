"""A G.pt of MNIST classifiers (MLP 784-10-10, 7,960 parameters) by test loss."""

from ml_collections import ConfigDict

from g_pt.config import default


def get_config(variant: str = "default") -> ConfigDict:
  config = default("mnist", "test_loss")
  config.corpus.update(runs=4096, checkpoints=32, group_size=64)
  config.corpus.recipe.update(epochs=4, train_examples=1000)
  config.diffusion.variable = "update"
  config.model.width = 192
  config.train.steps = 4000
  config.train.optimizer = "muon"
  config.train.learning_rate = 6e-3
  config.train.pairs.initial_fraction = 0.4
  config.sample.steps = 5
  return config
