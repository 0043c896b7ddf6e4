"""Settings as frozen dataclasses: limits stand on their field, and plain dictionaries are taken strictly.

    @dataclasses.dataclass(frozen=True)
    class SampleConfig(Settings):
      steps: int = limited(10, least=1)

A value beyond its limits is a ValueError that begins with the field's name;
who parses adds the path to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import math
import types
import typing
from typing import Any, NamedTuple

from g_pt.errors import ConfigError

_REQUIRED = dataclasses.MISSING


class _Limits(NamedTuple):
  """What a value must be; None: without limit. Of a tuple, each of its values."""

  least: float | None
  most: float | None
  above: float | None
  below: float | None
  choices: Sequence[str] | None

  def fault(self, value: Any) -> str | None:
    """What is wrong with the value, as the end of a sentence."""
    if isinstance(value, float) and not math.isfinite(value):
      return f"{value} is not a finite number"
    if self.choices is not None and value not in self.choices:
      return f"unknown {value!r}; it is one of: {', '.join(self.choices)}"
    for limit, holds, words in (
      (self.least, lambda x: value >= x, "is less than"),
      (self.most, lambda x: value <= x, "is more than"),
      (self.above, lambda x: value > x, "is not greater than"),
      (self.below, lambda x: value < x, "is not less than"),
    ):
      if limit is not None and not holds(limit):
        return f"{value} {words} {limit}"
    return None


def limited(default: Any = _REQUIRED, *, least=None, most=None, above=None, below=None, choices=None) -> Any:
  """A dataclass field whose value (or each of a tuple's) has limits."""
  limits = _Limits(least, most, above, below, choices)
  return dataclasses.field(default=default, metadata={"limits": limits})


@dataclasses.dataclass(frozen=True)
class Settings:
  """A dataclass whose limits hold from the start; a subclass with rules over several fields adds them to `check`."""

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      limits = field.metadata.get("limits", _Limits(None, None, None, None, None))
      for item in value if isinstance(value, tuple) else (value,):
        fault = None if item is None else limits.fault(item)
        if fault:
          raise ValueError(f"{field.name}: {fault}")
    self.check()

  def check(self) -> None:
    """Raises ValueError, its message beginning with a field's name, where fields do not fit each other."""


class Fields:
  """The fields of one dictionary, taken one by one; what is left at the end is unknown.

  Every method raises ConfigError, naming the field by its path, where one is
  missing or unknown, or its value is of another type or beyond its limits.
  """

  def __init__(self, values: Mapping[str, Any], path: str = ""):
    self._values, self._path = dict(values), path

  def _at(self, name: str) -> str:
    return f"{self._path}.{name}" if self._path else name

  def take(self, name: str, kind: Any) -> Any:
    """One value, an int made a float where one is wanted."""
    if name not in self._values:
      raise ConfigError(f"{self._at(name)}: this field is missing")
    return _typed(self._at(name), self._values.pop(name), kind)

  def below(self, name: str) -> Fields:
    """The fields of a dictionary in this one."""
    return Fields(self.take(name, dict), self._at(name))

  def named(self, name: str, get: Any) -> Any:
    """What `get` finds by the name that a field holds; its ValueError names the field's alternatives."""
    try:
      return get(self.take(name, str))
    except ConfigError:
      raise
    except ValueError as error:
      raise ConfigError(f"{self._at(name)}: {error}") from None

  def part(self, kind: type) -> Any:
    """A dataclass of those of the fields that it has.

    One that may be nothing may be absent, too: files stay readable when a version adds it.
    """
    hints = typing.get_type_hints(kind)
    arguments = {}
    for field in dataclasses.fields(kind):
      hint = hints[field.name]
      if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        arguments[field.name] = self.below(field.name).whole(hint)
      elif field.name in self._values or field.default is not None:
        arguments[field.name] = self.take(field.name, hint)
    try:
      return kind(**arguments)
    except ValueError as error:
      raise ConfigError(self._at(str(error))) from None

  def whole(self, kind: type) -> Any:
    """A dataclass of all fields that are left."""
    value = self.part(kind)
    self.end()
    return value

  def end(self) -> None:
    if self._values:
      raise ConfigError(f"{self._at(next(iter(self._values)))}: unknown field")


def _typed(path: str, value: Any, kind: Any) -> Any:
  kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
  for wanted in kinds:
    origin = typing.get_origin(wanted) or wanted
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
      return float(value)
    if origin is tuple and isinstance(value, (list, tuple)):
      item = typing.get_args(wanted)[0]
      return tuple(_typed(f"{path}[{i}]", entry, item) for i, entry in enumerate(value))
    if isinstance(value, origin) and not (origin is int and isinstance(value, bool)):
      return value
  names = " or ".join("nothing" if kind is type(None) else kind.__name__ for kind in kinds)
  raise ConfigError(f"{path}: {value!r} is of type {type(value).__name__}; {names} is needed")
