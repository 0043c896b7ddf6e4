"""A G.pt of Cartpole policies (MLP 4-32-32-2, 1,282 parameters) by mean return."""

from ml_collections import ConfigDict

from g_pt.config import default


def get_config(variant: str = "default") -> ConfigDict:
  config = default("cartpole", "episode_return")
  config.corpus.update(runs=2048, checkpoints=40, group_size=64)
  config.corpus.recipe.update(iterations=150, environments=16, horizon=32, epochs=4, learning_rate=2e-3)
  config.diffusion.variable = "update"
  config.model.update(width=64, depth=4)
  config.train.steps = 4000
  config.train.optimizer = "muon"
  config.train.learning_rate = 6e-3
  config.train.pairs.initial_fraction = 0.4
  config.sample.steps = 5
  return config
