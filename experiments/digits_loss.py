"""A G.pt of digit classifiers (MLP 64-10-10, 760 parameters) by test loss.

Claim: one update trains unseen, randomly initialised networks, and what is
prompted is what is achieved.

  command   python main.py --config=experiments/digits_loss.py --workdir=runs/digits_loss
  time      DEMO_MINUTES on two CPU cores, all stages
  expect    EXPECTED

`:smoke` runs every stage in seconds, to see that all works; its numbers mean nothing.
"""

from ml_collections import ConfigDict

from g_pt.config import default


def get_config(variant: str = "default") -> ConfigDict:
  config = default("digits", "test_loss")
  config.corpus.update(runs=8192, checkpoints=32, group_size=128)
  config.diffusion.variable = "update"
  config.train.steps = 2000
  config.train.optimizer = "muon"
  config.train.learning_rate = 6e-3
  config.train.pairs.initial_fraction = 0.4
  config.sample.steps = 5
  if variant == "smoke":
    config.corpus.update(runs=64, checkpoints=16, group_size=32, test_runs=8)
    config.corpus.recipe.epochs = 2
    config.model.update(width=32, depth=1)
    config.train.update(steps=60, batch_size=32, microbatches=1, log_every=10, checkpoint_every=20, probe_every=30)
    config.evaluate.update(networks=4, prompts=5, learning_rates=(0.01, 0.1), tuning_networks=2, curve_points=10)
  elif variant != "default":
    raise ValueError(f"digits_loss: unknown variant {variant!r}; it is default or smoke")
  return config
