"""The text of a compiled program as instructions by name, and what can be read off one of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
import math
import re
from typing import NamedTuple

_BITS = {"pred": 8, "s8": 8, "u8": 8, "bf16": 16, "f16": 16, "s16": 16, "u16": 16, "f32": 32, "s32": 32, "u32": 32}
_ARRAY = re.compile(r"\b([a-z]+[0-9]*)\[([0-9,]*)\](?:\{[^}]*?(?:S\((\d+)\))?\})?")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (\(.*?\)|\S+) ([\w-]+)\((.*)$")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")


class Instruction(NamedTuple):
  shape: str
  kind: str  # its operation
  rest: str  # operands and attributes

  @property
  def operands(self) -> list[str]:
    return re.findall(r"%([\w.-]+)", self.rest.split("), ")[0])

  def attribute(self, key: str) -> str:
    found = re.search(rf"\b{key}=%?([\w.-]+)", self.rest)
    return found[1] if found else ""


Computation = Mapping[str, Instruction]


def parsed(text: str) -> tuple[dict[str, dict[str, Instruction]], str]:
  """Instructions by name of every computation, and the name of the first that runs."""
  computations: dict[str, dict[str, Instruction]] = defaultdict(dict)
  name = entry = ""
  for line in text.splitlines():
    if opened := _COMPUTATION.match(line):
      name = opened[2]
      entry = name if opened[1] else entry
    elif found := _INSTRUCTION.match(line):
      computations[name][found[1]] = Instruction(found[2], found[3], found[4])
  return computations, entry


def bytes_of(shape: str, everywhere: bool = False) -> float:
  """Of all arrays of a shape in main memory, or `everywhere`."""
  total = 0.0
  for kind, sizes, space in _ARRAY.findall(shape):
    if everywhere or space in ("", "0"):
      total += _BITS.get(kind, 32) / 8 * math.prod(int(size) for size in sizes.split(",") if size)
  return total


def arrays(shape: str) -> list[str]:
  """Each array of a tuple."""
  return [found[0] for found in _ARRAY.finditer(shape)]


def last(shape: str) -> str:
  """The last array of a tuple that holds more than a number."""
  found = [array for array in arrays(shape) if "[]" not in array]
  return found[-1] if found else ""


def trips(loop: Instruction, around: Computation, computations: Mapping[str, Computation], unknown: float) -> float:
  """How often a loop runs; the counter is an entry of its tuple that is compared with a constant.

  Of any other form, the largest constant of its condition; `unknown` where there is none.
  """
  if known := re.search(r'known_trip_count":\{"n":"(\d+)"', loop.rest):
    return int(known[1])
  condition, body = (computations[loop.attribute(key)] for key in ("condition", "body"))
  compared = [i.operands for i in condition.values() if i.kind == "compare" and "direction=LT" in i.rest]
  if len(compared) == 1 and (counter := condition.get(compared[0][0])) and counter.kind == "get-tuple-element":
    index, end = int(counter.attribute("index")), _constant(compared[0][1], condition)
    begin = _constant(_entry(around.get(loop.operands[0]), index), around)
    step = _step(_entry([i for i in body.values() if i.kind == "tuple"][-1], index), body)
    if end is not None:
      return -(-(end - (begin or 0)) // (step or 1))
  fused = [computations[called] for i in condition.values() if (called := i.attribute("calls")) in computations]
  found = [_constant(name, part) for part in (condition, *fused) for name in part]
  return max((value for value in found if value is not None), default=unknown)


def _entry(made: Instruction | None, index: int) -> str:
  """The name of an entry of a tuple."""
  return made.operands[index] if made is not None and made.kind == "tuple" else ""


def _constant(name: str, around: Computation) -> int | None:
  found = around.get(name)
  while found is not None and found.kind in ("copy", "bitcast"):
    found = around.get(found.operands[0])
  if found is None or found.kind != "constant" or "[]" not in found.shape:
    return None
  value = found.rest.split(")")[0]
  return int(value) if value.isdigit() else None


def _step(name: str, body: Computation) -> int | None:
  """What is added to the counter: compilers run several turns of a loop as one."""
  added = body.get(name)
  while added is not None and added.kind in ("copy", "bitcast"):
    added = body.get(added.operands[0])
  if added is None or added.kind != "add":
    return None
  return next((value for operand in added.operands if (value := _constant(operand, body)) is not None), None)
