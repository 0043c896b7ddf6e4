"""MNIST by loss over width and runs.

  command   python -m experiments.sweeps.run --sweep=mnist
  time      5 trainings, that of the default's size 5 to 10 minutes beside another one on two CPU cores
  expect    1 - R² falls with the model's parameters by a slope of -0.55 ± 0.05, with runs by -0.10 ± 0.02

Of the corpus of 4,096 runs 3,968 are for training; the default uses all of them. Every
point is trained for half of the experiment's steps.
"""

from experiments.sweeps.base import Sweep
from experiments.sweeps.digits import OVERRIDES


def get_sweep() -> Sweep:
  return Sweep(
    name="mnist",
    experiment="mnist_loss",
    axes={
      "model.width": (32, 64),  # the default is 128
      "corpus.used_runs": (512, 1408),
    },
    overrides={**OVERRIDES, "train.steps": 2500},
  )
