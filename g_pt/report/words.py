"""Numbers and names as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence
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


def setting(value: float | int) -> str:
  """A number that somebody chose: no trailing zeros, nor the digits that float32 adds."""
  return f"{value:.3g}"


def count(value: int) -> str:
  return f"{value:,}"


def plural(value: int, noun: str) -> str:
  return f"{count(value)} {noun if value == 1 else noun + 's'}"


def short_count(value: int) -> str:
  """52K, 1.39M, 2.1B."""
  for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
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
