"""CIFAR-10 by error over width and runs, beside the published curves.

  command   python -m experiments.sweeps.run --sweep=cifar10
  time      7 trainings, that of the default's size 20 minutes alone on two CPU cores

The published models (Peebles et al. 2022) have 2M to 858M parameters and learn from up to 55,000
runs of 50 epochs; ours are of 736 shorter ones. What can be compared is the shape of the curves.
"""

from experiments.sweeps.base import Published, Sweep
from experiments.sweeps.digits import OVERRIDES

_WIDTHS = (64, 128, 256, 512, 1024, 2048)
_RUNS = (500, 5_000, 10_000, 25_000, 55_000)


def get_sweep() -> Sweep:
  return Sweep(
    name="cifar10",
    experiment="cifar10_error",
    axes={
      "model.width": (24, 48, 192),  # the default is 96
      "corpus.used_runs": (92, 184, 368),
    },
    overrides=OVERRIDES,
    published={
      "model.width": Published("published, 2M to 858M", _WIDTHS, (-2.71, -2.71, -2.71, -0.08, -0.06, 0.43)),
      "corpus.used_runs": Published("published, 500 to 55,000 runs", _RUNS, (-2.7, -0.9, -0.07, 0.42, 0.43)),
    },
  )
