"""What one device moves when it runs a compiled program, read off the program's text.

A loop counts as often as its condition lets it run, which compilers' own counts
leave out. Arrays that a TPU keeps on the chip itself (memory spaces above 0) are
no traffic of its main memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
import math
import re
from typing import Any, NamedTuple

import jax.extend

COLLECTIVES = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
_BITS = {"pred": 8, "s8": 8, "u8": 8, "bf16": 16, "f16": 16, "s16": 16, "u16": 16, "f32": 32, "s32": 32, "u32": 32}
# Names for what is elsewhere, and loops, whose bodies are counted.
_NO_TRAFFIC = {"parameter", "tuple", "get-tuple-element", "bitcast", "constant", "while", "conditional", "call", "iota"}
_ARRAY = re.compile(r"\b([a-z]+[0-9]*)\[([0-9,]*)\](?:\{[^}]*?(?:S\((\d+)\))?\})?")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (\(.*?\)|\S+) ([\w-]+)\((.*)$")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")


class Instruction(NamedTuple):
  shape: str
  kind: str  # its operation
  rest: str  # operands and attributes


Computation = Mapping[str, Instruction]


class Traffic(NamedTuple):
  """Bytes of one device."""

  memory: float  # read and written
  received: Mapping[str, float]  # from other devices, by kind of collective
  count: Mapping[str, float]  # how often each kind runs

  def __add__(self, other: Traffic) -> Traffic:  # type: ignore[override]
    return Traffic(self.memory + other.memory, _sum(self.received, other.received), _sum(self.count, other.count))

  def times(self, count: float) -> Traffic:
    scaled = ({kind: count * value for kind, value in part.items()} for part in (self.received, self.count))
    return Traffic(count * self.memory, *scaled)


def _sum(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
  return {kind: a.get(kind, 0) + b.get(kind, 0) for kind in {**a, **b}}


def traffic(text: str, devices: int) -> Traffic:
  """Of a program that all `devices` run together."""
  computations, entry = parsed(text)
  known: dict[str, Traffic] = {}

  def of(name: str) -> Traffic:
    if name not in known:
      total = Traffic(0.0, {}, {})
      for instruction in computations[name].values():
        total += _of_instruction(instruction, computations[name], computations, devices)
        if instruction.kind == "while":
          condition, body = (_attribute(instruction.rest, key) for key in ("condition", "body"))
          total += of(body).times(trips(computations[condition]))
        elif instruction.kind in ("fusion", "custom-call"):
          # Exchanges that go on beside a product are inside of one instruction with it; its memory is counted above.
          called = _attribute(instruction.rest, "calls")
          total += of(called)._replace(memory=0.0) if called in computations else Traffic(0.0, {}, {})
        elif instruction.kind in ("call", "conditional", "async-start"):
          for called in re.findall(r"(?:to_apply|calls|branch_computations=\{)=?%?([\w.-]+)", instruction.rest):
            total += of(called)
      known[name] = total
    return known[name]

  return of(entry)


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


def trips(condition: Mapping[str, Instruction]) -> int:
  """How often a loop runs that counts from 0 to the constant of its condition."""
  constants = [i.rest.split(")")[0] for i in condition.values() if i.kind == "constant" and "[]" in i.shape]
  return max((int(constant) for constant in constants if constant.isdigit()), default=1)


def _of_instruction(
  instruction: Instruction, around: Computation, computations: Mapping[str, Computation], devices: int
) -> Traffic:
  kind = instruction.kind.removesuffix("-start")
  if instruction.kind.endswith("-done") or kind in _NO_TRAFFIC:
    return Traffic(0.0, {}, {})
  memory = _memory(instruction, around, computations)
  if kind not in COLLECTIVES:
    return Traffic(memory, {}, {})
  others = (devices - 1) / devices
  # Of a start the shape has the operand in front of the result; several arrays may be exchanged as one.
  started = instruction.kind.endswith("-start") and kind != "all-reduce"
  result = bytes_of(_last(instruction.shape) if started else instruction.shape, everywhere=True)
  whole = {"all-gather": others, "all-reduce": 2 * others, "all-to-all": others, "reduce-scatter": devices - 1}
  return Traffic(memory, {kind: whole.get(kind, 1.0) * result}, {kind: 1})


def _memory(instruction: Instruction, around: Computation, computations: Mapping[str, Computation]) -> float:
  """Bytes read and written; of an array that is only cut, the part that is cut out, or put in its place."""
  shapes = [around[name].shape if name in around else "" for name in _operands(instruction)]
  if _is_cut(instruction.kind):
    return 2 * _part(instruction, around)
  inside = computations.get(_attribute(instruction.rest, "calls"), {})
  parameters = {int(i.rest.split(")")[0]): name for name, i in inside.items() if i.kind == "parameter"}
  read = 0.0
  for number, shape in enumerate(shapes):
    users = [i for i in inside.values() if parameters.get(number) in _operands(i)]
    cut = users and all(_is_cut(i.kind) and _operands(i)[0] == parameters[number] for i in users)
    # Where it lies is said outside: what a fusion cuts of an array on the chip is no traffic.
    read += sum(_part(i, inside) for i in users) if cut and bytes_of(shape) else bytes_of(shape)
  put = [i for i in inside.values() if i.kind == "dynamic-update-slice"]
  roots = [i for i in put if i.shape.split("{")[0] in instruction.shape]
  written = sum(_part(i, inside) for i in roots) if roots else bytes_of(instruction.shape)
  return read + written


def _is_cut(kind: str) -> bool:
  return kind in ("dynamic-slice", "slice", "slice-start", "gather", "dynamic-update-slice")


def _part(instruction: Instruction, around: Computation) -> float:
  """Bytes of what is cut out of an array, or put into it."""
  if instruction.kind == "dynamic-update-slice":
    update = _operands(instruction)[1]
    return bytes_of(around[update].shape, everywhere=True) if update in around else 0.0
  return bytes_of(_last(instruction.shape) or instruction.shape, everywhere=True)


def _operands(instruction: Instruction) -> list[str]:
  return re.findall(r"%([\w.-]+)", instruction.rest.split("), ")[0])


def _last(shape: str) -> str:
  """The last array of a tuple that holds more than a number."""
  arrays = [found[0] for found in _ARRAY.finditer(shape) if found[2]]
  return arrays[-1] if arrays else ""


def bytes_of(shape: str, everywhere: bool = False) -> float:
  """Of all arrays of a shape in main memory, or `everywhere`."""
  total = 0.0
  for kind, sizes, space in _ARRAY.findall(shape):
    if everywhere or space in ("", "0"):
      total += _BITS.get(kind, 32) / 8 * math.prod(int(size) for size in sizes.split(",") if size)
  return total


def _attribute(rest: str, key: str) -> str:
  found = re.search(rf"{key}=%?([\w.-]+)", rest)
  return found[1] if found else ""


def products(jaxpr: Any) -> float:
  """FLOP of the matrix products and convolutions of a traced program; the body of a scan as often as it runs."""
  total = 0.0
  for equation in jaxpr.eqns:
    kind = equation.primitive.name
    if kind == "dot_general":
      (left, _), _ = equation.params["dimension_numbers"]
      shape = equation.invars[0].aval.shape
      total += 2.0 * equation.outvars[0].aval.size * math.prod(shape[axis] for axis in left)
    elif kind == "conv_general_dilated":
      kernel, numbers = equation.invars[1].aval.shape, equation.params["dimension_numbers"]
      total += 2.0 * equation.outvars[0].aval.size * math.prod(kernel) / kernel[numbers.rhs_spec[0]]
    for inner in jax.extend.core.jaxprs_in_params(equation.params):
      total += products(inner) * (equation.params["length"] if kind == "scan" else 1)
  return total
