"""What one device moves when it runs a compiled program, read off the program's text.

A loop counts as often as it runs, which compilers' own counts leave out. Arrays
that a TPU keeps on the chip itself (memory spaces above 0) are no traffic of its
main memory; others count without the padding of their layout. An exchange that
goes on beside other instructions is written inside of each of them: it counts
where it starts.
"""

from __future__ import annotations

from collections.abc import Mapping
import math
import re
from typing import Any, NamedTuple

import jax.extend

from experiments.benchmarks.hlo_text import Computation, Instruction, arrays, bytes_of, last, parsed, trips

COLLECTIVES = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
# Names for what is elsewhere, and what is made of instructions that are counted.
_NO_TRAFFIC = ("parameter", "tuple", "get-tuple-element", "bitcast", "constant", "iota")
_NO_TRAFFIC += ("while", "conditional", "call", "async-start", "async-update", "partition-id")


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


NOTHING = Traffic(0.0, {}, {})


def traffic(text: str, devices: int, turns: float = 1.0) -> Traffic:
  """Of a program that all `devices` run together; `turns` of a loop whose end is data, on average."""
  computations, entry = parsed(text)
  known: dict[str, Traffic] = {}

  def of(name: str) -> Traffic:
    if name not in known:
      around, total = computations[name], NOTHING
      for instruction in around.values():
        total += Traffic(_memory(instruction, around, computations), {}, {})
        total += exchanged(instruction, computations, devices)
        if instruction.kind == "while":
          total += of(instruction.attribute("body")).times(trips(instruction, around, computations, turns))
        elif instruction.kind in ("call", "conditional", "async-start"):
          for called in re.findall(r"(?:to_apply|calls|branch_computations=\{)=?%?([\w.-]+)", instruction.rest):
            total += of(called)
      known[name] = total
    return known[name]

  return of(entry)


def exchanged(instruction: Instruction, computations: Mapping[str, Computation], devices: int) -> Traffic:
  """What an instruction receives, by itself or inside of the one that it is fused into."""
  kind = instruction.kind.removesuffix("-start")
  if kind in COLLECTIVES:
    others, size = _others(instruction, devices), bytes_of(_result(instruction), everywhere=True)
    return _received(kind, others, size)
  total, inside = NOTHING, _inside(instruction, computations)
  if _chained(inside) and not _starts(inside):
    return NOTHING
  for name, part in inside.items():
    kept = [user for user in inside.values() if name in user.operands]
    if part.kind == "all-reduce" and kept and all(user.kind == "dynamic-slice" for user in kept):
      # So a TPU's compiler writes the reduce-scatter.
      total += _received("reduce-scatter", _others(part, devices), sum(_part(user, inside) for user in kept))
    else:
      total += exchanged(part, computations, devices)
  return total


def _received(kind: str, others: int, size: float) -> Traffic:
  """Of an exchange with `others` that has a result of `size` bytes; an all-reduce is both halves of one."""
  share = {"all-reduce": 2 * others / (others + 1), "reduce-scatter": others, "collective-permute": 1.0}
  return Traffic(0.0, {kind: share.get(kind, others / (others + 1)) * size}, {kind: 1})


def _inside(instruction: Instruction, computations: Mapping[str, Computation]) -> Computation:
  fused = instruction.kind in ("fusion", "custom-call")
  return computations.get(instruction.attribute("calls"), {}) if fused else {}


def _chained(inside: Computation) -> bool:
  """Whether one exchange goes through this instruction and others."""
  return any(i.kind in COLLECTIVES and "chain_id=" in i.rest for i in inside.values())


def _starts(inside: Computation) -> bool:
  return any('custom_call_target="AsyncCollectiveStart"' in i.rest for i in inside.values())


def _others(instruction: Instruction, devices: int) -> int:
  """Devices that one exchanges with, as `{{0,1},{2,3}}`, `[groups,size]<=..` or axes of a mesh say."""
  rest = instruction.rest
  if found := re.search(r"replica_groups=\{\{([\d,]+)\}", rest):
    return len(found[1].split(",")) - 1
  if found := re.search(r"replica_groups=\[\d+,(\d+)\]<=", rest):
    return int(found[1]) - 1
  if found := re.search(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}", rest):
    sizes = {name: int(size) for name, size in re.findall(r"'([^']+)'=(\d+)", found[1])}
    axes = re.findall(r"'([^']+)'(?::\(\d+\)(\d+))?", found[2])
    return math.prod(int(part) if part else sizes[name] for name, part in axes) - 1
  return devices - 1


def _result(instruction: Instruction) -> str:
  """Of a start the shape has operands in front of the result; several arrays may be reduced as one."""
  if not instruction.kind.endswith("-start") or instruction.kind == "all-reduce-start":
    return instruction.shape
  return arrays(instruction.shape)[0] if instruction.kind == "copy-start" else last(instruction.shape)


def _memory(instruction: Instruction, around: Computation, computations: Mapping[str, Computation]) -> float:
  """Bytes read and written; of an array that is only cut, the part that is cut out, or put in its place."""
  if instruction.kind.endswith("-done") or instruction.kind in _NO_TRAFFIC or "AllocateBuffer" in instruction.rest:
    return 0.0
  shapes = [around[name].shape if name in around else "" for name in instruction.operands]
  if _is_cut(instruction.kind):
    ends = shapes[0], _result(instruction)
    return _part(instruction, around) * sum(bytes_of(shape) > 0 for shape in ends)
  inside = _inside(instruction, computations)
  operands, results = _passed_on(instruction, inside)
  read = written = 0.0
  # Where an array lies is said outside: what a fusion cuts of an array on the chip is no traffic.
  for number, shape in enumerate(shapes):
    if number not in operands and bytes_of(shape):
      read += _read(shape, _parameter(inside, number), inside, computations) if inside else bytes_of(shape)
  put = {i.shape.split("{")[0]: _part(i, inside) for i in inside.values() if i.kind == "dynamic-update-slice"}
  for number, array in enumerate(arrays(_result(instruction))):
    if number not in results and bytes_of(array):
      written += put.get(array.split("{")[0], bytes_of(array))
  return read + written


def _read(shape: str, name: str, inside: Computation, computations: Mapping[str, Computation]) -> float:
  """Of an operand of a fusion, whose name within is that; fused instructions may be fusions again."""
  whole, parts = bytes_of(shape, everywhere=True), 0.0
  for user in inside.values():
    for number in [number for number, operand in enumerate(user.operands) if operand == name]:
      nested = _inside(user, computations)
      if user.kind == "dynamic-update-slice" and not number:
        continue  # it is written in place
      if _is_cut(user.kind) and not number:
        parts += _part(user, inside)
      else:
        parts += _read(shape, _parameter(nested, number), nested, computations) if nested else whole
  return min(whole, parts)


def _parameter(inside: Computation, number: int) -> str:
  return next((name for name, i in inside.items() if i.kind == "parameter" and i.rest.startswith(f"{number})")), "")


def _passed_on(instruction: Instruction, inside: Computation) -> tuple[set[int], set[int]]:
  """Operands and results that are buffers of an exchange which only goes on; its start moves them."""
  listed = re.search(r"output_to_operand_aliasing=\{(.*?\))\}", instruction.rest)
  if not listed or not _chained(inside):
    return set(), set()
  pairs = re.findall(r"\{(\d*)\}: \((\d+),", listed[1])
  operands = set() if _starts(inside) else {int(operand) for _, operand in pairs}
  return operands, {int(result or 0) for result, _ in pairs}


def _is_cut(kind: str) -> bool:
  return kind in ("dynamic-slice", "slice", "slice-start", "gather", "dynamic-update-slice")


def _part(instruction: Instruction, around: Computation) -> float:
  """Bytes of what is cut out of an array, or put into it."""
  if instruction.kind == "dynamic-update-slice":
    update = instruction.operands[1]
    return bytes_of(around[update].shape, everywhere=True) if update in around else 0.0
  return bytes_of(last(instruction.shape) or instruction.shape, everywhere=True)


def products(jaxpr: Any, turns: float = 1.0) -> float:
  """FLOP of the matrix products and convolutions of a traced program; loops as often as they run, see `traffic`."""
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
      repeats = _turns(equation, turns) if kind == "while" else equation.params["length"] if kind == "scan" else 1.0
      total += products(inner, turns) * repeats
  return total


def _turns(loop: Any, unknown: float) -> float:
  """The constant that a loop's condition compares with, as of compiled loops."""
  compared = [value for eqn in loop.params["cond_jaxpr"].eqns if eqn.primitive.name == "lt" for value in eqn.invars]
  return max((float(value.val) for value in compared if isinstance(value, jax.extend.core.Literal)), default=unknown)
