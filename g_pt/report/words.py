"""Numbers and names as a person reads them."""

from __future__ import annotations

import math

_OPTIMIZERS = {
  "sgd": "SGD",
  "momentum": "Momentum",
  "nesterov": "Nesterov",
  "adam": "Adam",
  "adamw": "AdamW",
  "rmsprop": "RMSprop",
}


def number(value: float | int) -> str:
  """Three significant digits, whole from 100 on: 0.0500, 2.33, 84.4, 1,235."""
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


def steps_to_match(steps: int | None, within: int | None) -> str:
  """`within` is the length of the optimizer's run; None where it is not known."""
  if steps is not None:
    return count(steps)
  return "not within its run" if within is None else f"not within {count(within)} steps"
