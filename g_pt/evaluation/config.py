"""How much is evaluated."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
  networks: int = 64  # held-out runs (and as many training runs) whose initial networks are prompted
  prompts: int = 20  # a network, from the best prompt to its own metric
  learning_rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # tried for every optimizer
  tuning_networks: int = 16  # training runs' inits that the learning rates are chosen on
  optimizers: tuple[str, ...] | None = None  # that one update is compared with; None: all of the task's
  curve_networks: int = 64  # of the held-out runs, that the optimizers train
  curve_points: int = 100  # of the optimizers' curves, evenly spaced in log(step)

  def __post_init__(self):
    for name in ("networks", "prompts", "tuning_networks", "curve_networks", "curve_points"):
      if getattr(self, name) < 2:
        raise ValueError(f"evaluate.{name}: {getattr(self, name)} is less than 2")
    if not self.learning_rates or min(self.learning_rates) <= 0:
      raise ValueError(f"evaluate.learning_rates: {self.learning_rates} must be positive numbers, at least one")
