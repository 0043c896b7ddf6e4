"""Digits by loss over width, runs, checkpoints of a run and training steps.

  command   python -m experiments.sweeps.run --sweep=digits
  time      15 trainings, 50 minutes beside another training on two CPU cores (EPYC, AVX-512)
  expect    1 - R² falls with the model's parameters by a slope of -0.14 ± 0.02, with training FLOP by
            -0.6 ± 0.3, with checkpoints of a run by -1.5 ± 0.6 (8 are enough), hardly with runs (-0.08)

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
