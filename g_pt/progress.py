"""How far a stage is: a bar on a terminal, a line every half minute elsewhere (a log file, a batch system)."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
import sys
import time
from typing import TypeVar

import jax
from tqdm import tqdm

LINE_SECONDS = 30.0
_LINES = 8  # whose mean a speed is: work that a device is given ahead comes in bursts
_LINE = "{desc}: {n_fmt}/{total_fmt}, {rate_fmt}, {remaining} left{postfix}"

Item = TypeVar("Item")


def bar(
  total: int,
  *,
  initial: int = 0,
  desc: str,
  unit: str,
  leave: bool = True,
  clock: Callable[[], float] = time.monotonic,
) -> tqdm | Lines:
  """The progress of `total` units, `initial` of them there before, on standard error.

  A context manager with `update(n=1)` and `set_postfix(values)`: names and
  values, already words, that stand behind the figures from then on. On a
  terminal a bar without `leave` vanishes when it ends. `clock` gives the seconds
  that lines go by.
  """
  if jax.process_index():  # the first process tells
    return tqdm(total=total, disable=True)
  if sys.stderr.isatty():
    return tqdm(total=total, initial=initial, desc=desc, unit=unit, leave=leave)
  return Lines(total, initial, desc, unit, clock)


def track(items: Sequence[Item], *, desc: str, unit: str, **options) -> Iterator[Item]:
  """`items`, one by one, with the progress of going through them; `options` as of `bar`."""
  with bar(len(items), desc=desc, unit=unit, **options) as progress:
    for item in items:
      yield item
      progress.update()


class Lines:
  """Lines as tqdm words them, at most one each `LINE_SECONDS`, and one when the context ends."""

  def __init__(self, total: int, initial: int, desc: str, unit: str, clock: Callable[[], float]):
    self._total, self._desc, self._unit, self._clock = total, desc, unit, clock
    self._began = clock(), initial
    self._shown = collections.deque([self._began], _LINES)
    self._done, self._postfix = initial, ""

  def __enter__(self) -> Lines:
    return self

  def __exit__(self, *error: object) -> None:
    self._show(self._clock(), self._began)

  def update(self, n: int = 1) -> None:
    self._done += n
    now = self._clock()
    if now - self._shown[-1][0] >= LINE_SECONDS:
      self._show(now, self._shown[0])

  def set_postfix(self, values: Mapping[str, str], /) -> None:
    self._postfix = ", ".join(f"{name}={value}" for name, value in values.items())

  def _show(self, now: float, since: tuple[float, int]) -> None:
    """Writes a line at time `now`; its rate is the mean since (time, units done)."""
    seconds = now - since[0]
    line = tqdm.format_meter(
      n=self._done,
      total=self._total,
      elapsed=now - self._began[0],
      prefix=self._desc,
      unit=self._unit,
      rate=(self._done - since[1]) / seconds if seconds else None,
      bar_format=_LINE,
      postfix=self._postfix,
    )
    print(" ".join(line.split()), file=sys.stderr, flush=True)  # tqdm pads its figures
    self._shown.append((now, self._done))
