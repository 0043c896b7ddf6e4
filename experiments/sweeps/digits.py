"""Digits by loss over width, runs, checkpoints of a run and training steps.

  command   python -m experiments.sweeps.run --sweep=digits
  time      15 trainings, those of the default's size 5 minutes each on two CPU cores

Of the corpus of 8,192 runs 7,936 are for training; the default uses all of them, and
32 checkpoints of each.
"""

from experiments.sweeps.base import Sweep

# One update needs no optimizers beside it here.
OVERRIDES = {
  "evaluate.experiments": ("alignment", "one_update", "corpus", "model"),
  "optimizers.optimizers": (),
  "train.probe_every": 0,
  "train.history": 0,
}


def get_sweep() -> Sweep:
  return Sweep(
    name="digits",
    experiment="digits_loss",
    axes={
      "model.width": (24, 48, 96, 192),  # the default is 128
      "corpus.used_runs": (512, 1024, 2048, 4096),
      "corpus.used_checkpoints": (4, 8, 16),
      "train.steps": (125, 250, 500),  # the default is 1,000
    },
    overrides=OVERRIDES,
  )
