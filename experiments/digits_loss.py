"""docstring later"""

from ml_collections import ConfigDict

from g_pt.config import default


def get_config(variant: str = "default") -> ConfigDict:
  config = default("digits", "test_loss")
  config.corpus.runs = 4096
  config.diffusion.variable = "update"
  config.train.steps = 2500
  if variant == "smoke":
    config.corpus.update(runs=64, checkpoints=16, group_size=32, test_runs=8)
    config.corpus.recipe.epochs = 2
    config.model.update(width=32, depth=1)
    config.train.update(steps=60, batch_size=32, microbatches=1, log_every=10, checkpoint_every=20, probe_every=30)
    config.evaluate.update(networks=4, prompts=5, learning_rates=(0.01, 0.1), tuning_networks=2, curve_points=10)
  return config
