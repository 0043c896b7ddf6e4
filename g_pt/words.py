"""Numbers and names as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
import math

# Parts of a task's data that networks are judged on.
PARTS = {"recorded": "recorded data", "final": "held-out data", "whole": "whole test set"}
_OPTIMIZERS = {
  "sgd": "SGD",
  "momentum": "Momentum",
  "nesterov": "Nesterov",
  "adam": "Adam",
  "adamw": "AdamW",
  "rmsprop": "RMSprop",
}
# In the order in which they are shown: kinds of init, ways to start an optimizer, networks that novelty is judged by.
INITS = {
  "own": "the task's own",
  "half": "the task's own, times 0.5",
  "double": "the task's own, times 2",
  "xavier_normal": "Xavier normal",
  "xavier_uniform": "Xavier uniform",
  "orthogonal": "orthogonal",
  "kaiming_fan_in": "Kaiming fan-in",
  "kaiming_fan_out": "Kaiming fan-out",
}
STARTS = {
  "initial": "initial networks",
  "update": "one G.pt update",
  "retrieval": "retrieved checkpoints",
  "soup": "soups of run ends",
}
KINDS = {
  "training": "training ends",
  "unseen": "ends of unseen runs",
  "samples": "samples of G.pt",
  "interpolation": "between two training ends",
  "soup": "soups of training ends",
  "retrieval": "retrieved checkpoints",
}


def number(value: float | int | None) -> str:
  """Three significant digits, whole from 100 on: 0.0500, 2.33, 84.4, 1,235. None, which is no number, is a dash."""
  if value is None:
    return "-"
  value = float(value)
  if not math.isfinite(value):
    return str(value)
  if abs(value) >= 999.5:
    return f"{value:,.0f}"
  return f"{value:#.3g}".rstrip(".") if value else "0"


def left_out(found: Mapping[str, str]) -> str:
  """Sentences to end a caption with, on what could not be had, by name, and why."""
  return "".join(f" Left out: {name} ({why})." for name, why in found.items())


def setting(value: float | int) -> str:
  """A number that somebody chose: no trailing zeros, nor the digits that float32 adds."""
  return f"{value:.3g}"


def count(value: int) -> str:
  return f"{value:,}"


def plural(value: int, noun: str) -> str:
  return f"{count(value)} {noun if value == 1 else noun + 's'}"


def short_count(value: int) -> str:
  """52K, 1.39M, 2.1B, 17.2T."""
  for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
    if value >= size:
      return f"{value / size:.3g}{letter}"
  return str(value)


def duration(seconds: float | int) -> str:
  """8.7 s, 5 min 12 s, 2 h 05 min."""
  if seconds < 59.95:
    return f"{seconds:.1f} s"
  minutes, rest = divmod(round(seconds), 60)
  if minutes < 60:
    return f"{minutes} min {rest:02d} s"
  return f"{minutes // 60} h {minutes % 60:02d} min"


def optimizer(name: str) -> str:
  return _OPTIMIZERS.get(name, name)


def known(names: Iterable[str], labels: Mapping[str, str]) -> dict[str, str]:
  """Labels of names, those of one of the tables above first and in its order."""
  names = list(names)
  return {name: labels[name] for name in labels if name in names} | {n: n for n in names if n not in labels}


def kinds(names: Iterable[str]) -> dict[str, str]:
  """Labels of the networks that novelty is judged by; noise has its level in its name."""
  every = known(names, KINDS)
  return {name: f"training ends, {label}" if name.startswith("noise") else label for name, label in every.items()}


def share(value: float | int | None) -> str:
  """0 %, 3.12 %, 38 %."""
  return "-" if value is None else f"{100 * value:.3g} %"


def listed(names: Sequence[str]) -> str:
  """a; a and b; a, b and c."""
  return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def capital(text: str) -> str:
  return text[:1].upper() + text[1:]


def on_part(name: str, part: str) -> str:
  """The recorded part goes without saying: it is the one that models are trained and prompted by."""
  return name if part == "recorded" else f"{name}, {PARTS[part]}"


def interval(ends: Sequence[float | int]) -> str:
  low, high = ends
  return f"{number(low)} to {number(high)}"


def steps(value: float | int) -> str:
  """Optimizer steps, which lie between two whole ones where they are interpolated: 3.4, 30, 1,250."""
  return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:,.0f}"


def steps_to_match(value: float | int | None, within: int) -> str:
  """`within` is the length of the optimizers' runs."""
  return f"not within {count(within)} steps" if value is None else steps(value)


def steps_interval(ends: Sequence[float | int | None]) -> str:
  """An upper end of None lies beyond the optimizer's run, and then the lower end may, too."""
  low, high = ends
  if low is None:
    return "-"
  return f"{steps(low)} or more" if high is None else f"{steps(low)} to {steps(high)}"


def decay(share: float | int | None) -> str:
  """After which share of the run the learning rate is 0; None: never."""
  if share is None:
    return "constant"
  return "the whole run" if share == 1 else f"{Fraction(share).limit_denominator(64)} of the run"
