"""Published figures, for the task and metric that they are of: what stands beside ours.

They are of whole test sets, by corpora and models of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from g_pt.report.base import View

GPT = "Peebles et al. 2022"
AUDIT = "Zeng et al. 2025"
_FLOW = "“Canonicalize, Then Generate”, 2026, unreviewed"
Told = TypeVar("Told")

# By the name of the init, after so many updates.
_OTHER_INITS = "12 to 40 after 1, 6 to 9 after 3 or 4"
RECURSION: dict[tuple[str, str], dict[str, str]] = {
  ("mnist", "test_error"): {
    "own": "about 6 after 1",
    "xavier_normal": _OTHER_INITS,
    "xavier_uniform": _OTHER_INITS,
    "orthogonal": _OTHER_INITS,
    "kaiming_fan_in": _OTHER_INITS,
    "kaiming_fan_out": "60 to 80 after 1, 7 to 13 after 10",
  }
}

# The mean after one update.
ONE_UPDATE: dict[tuple[str, str], str] = {
  ("mnist", "test_loss"): "0.19 to 0.21",
  ("cifar10", "test_error"): "51.2",
  ("cartpole", "episode_return"): "439",
}

# Prompt alignment by the width of the model.
ALIGNMENT: dict[tuple[str, str], dict[int, float]] = {
  ("cifar10", "test_error"): {64: -2.71, 128: -2.71, 256: -2.71, 512: -0.08, 1024: -0.06, 2048: 0.43}
}

# (what, value, who says so). Distances are of weights as they are, with no units matched.
_OF_MNIST = (
  ("nearest other, training networks", "3.64", AUDIT),
  ("nearest training network, G.pt's samples", "2.25", AUDIT),
  ("ratio of the two", "0.62", AUDIT),
  ("accuracy of these samples, of training networks (%)", "94.0, 94.4", AUDIT),
  ("novel and performant beyond 1 ×, flow prompted by accuracy, at an accuracy of 85 %", "31 to 35 %", _FLOW),
)
NOVELTY: dict[tuple[str, str], tuple[tuple[str, str, str], ...]] = {
  ("mnist", "test_loss"): _OF_MNIST,
  ("mnist", "test_error"): _OF_MNIST,
}


def of(table: Mapping[tuple[str, str], Told], view: View) -> Told | None:
  """What a table of this module has for a task and a metric."""
  return table.get((view.task.name, view.name))
