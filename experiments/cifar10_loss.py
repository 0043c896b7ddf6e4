"""A G.pt of CIFAR-10 classifiers (CNN of two convolutions, 5,370 parameters) by test loss.

Claim: convolutions are generated like any other weights.

  command   python main.py --config=experiments/cifar10_loss.py --workdir=runs/cifar10_loss
  time      not measured as a whole; the corpus takes 15 minutes on two CPU cores by the rate of the benchmark
  expect    not measured yet

`:paper` is the published model and scale; `:smoke` runs every stage in seconds.
"""

from ml_collections import ConfigDict

from g_pt.config import default


def get_config(variant: str = "default") -> ConfigDict:
  if variant == "paper":
    return paper()
  config = default("cifar10", "test_loss")
  config.corpus.update(runs=128, checkpoints=20, group_size=8, test_runs=12)
  config.corpus.recipe.update(epochs=2, batch_size=32, test_examples=1500, train_examples=100)
  config.diffusion.update(variable="update", precondition=True, schedule="cosine")
  config.model.update(width=96, depth=4)
  config.train.update(steps=3000, optimizer="muon", learning_rate=6e-3, probe_every=1000)
  config.train.pairs.initial_fraction = 0.6
  config.sample.update(steps=8, temperature=0.7, stop=0.4)
  config.evaluate.update(networks=16, optimizers=("nesterov", "adamw"), curve_networks=4, tuning_networks=2)
  config.evaluate.update(learning_rates=(0.003, 0.1), curve_points=30)
  if variant == "smoke":
    config.corpus.update(runs=16, checkpoints=5, group_size=4, test_runs=4)
    config.corpus.recipe.update(epochs=1, batch_size=2048, test_examples=100, train_examples=100)
    config.model.update(width=32, depth=1)
    config.train.update(steps=20, batch_size=16, microbatches=1, log_every=10, checkpoint_every=10, probe_every=10)
    config.evaluate.update(networks=4, prompts=4, learning_rates=(0.1,), curve_networks=2, curve_points=5)
  elif variant != "default":
    raise ValueError(f"cifar10_loss: unknown variant {variant!r}; it is default, paper or smoke")
  return config


def paper() -> ConfigDict:
  """The published scale: 56,840 runs of 200 checkpoints, 639M weights, 1.49M steps of 550 pairs."""
  config = default("cifar10", "test_loss", model="chunk_transformer")
  config.corpus.update(runs=56_840, test_runs=2050, checkpoints=200, save_points="uniform", group_size=16)
  config.model.update(width=2048, heads=16, chunk_size=576)
  config.diffusion.scale = 1.646
  config.train.update(steps=1_490_000, batch_size=550, microbatches=1, learning_rate=4e-4, warmup_steps=1833)
  config.train.update(final_learning_rate=0.0, b2=0.999, weight_decay=0.1, clip_norm=0.1, average_decay=0.9999)
  config.train.pairs.update(weighting="uniform", permute=True)
  config.sample.update(sampler="ddpm", steps=1000)
  return config
