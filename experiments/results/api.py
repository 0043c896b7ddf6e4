"""The page of the public functions and classes, from their docstrings.

  command   python -m experiments.results.api [--check]

It is docs/api.md. `--check` writes nothing and fails where that is not what the code says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import functools
import inspect
from pathlib import Path
from typing import Any

from g_pt import command, family_gpt, gpt, publish, trained, workdir
from g_pt.corpus.store import Corpus
from g_pt.errors import UserError
from g_pt.evaluation import fresh
from g_pt.tasks import base

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
_BEGIN = """# The public API

Made from docstrings by `python -m experiments.results.api`. `g_pt` itself has `load` and `GPT`; all else is imported
from its module. What a command line takes, `--help` says: `python main.py`, `python -m g_pt.publish`, and those that
the README names.
"""
# What the page tells of, in its order; of a class all that is public and has a docstring.
_PUBLIC: tuple[tuple[str, Any], ...] = (
  ("g_pt.load", trained.load),
  ("g_pt.GPT", gpt.GPT),
  ("g_pt.family_gpt.FamilyGPT", family_gpt.FamilyGPT),
  ("g_pt.trained.pretrained", trained.pretrained),
  ("g_pt.publish.publish", publish.publish),
  ("g_pt.evaluation.fresh.measure", fresh.measure),
  ("g_pt.evaluation.fresh.Fresh", fresh.Fresh),
  ("g_pt.corpus.store.Corpus", Corpus),
  ("g_pt.tasks.base.Task", base.Task),
  ("g_pt.tasks.base.Network", base.Network),
  ("g_pt.tasks.base.Measurement", base.Measurement),
  ("g_pt.tasks.base.Training", base.Training),
  ("g_pt.tasks.base.Metric", base.Metric),
)


def page() -> str:
  """The whole page, in Markdown."""
  return "\n".join([_BEGIN, *(line for name, thing in _PUBLIC for line in _told(name, thing))])


def _told(name: str, thing: Any) -> Iterator[str]:
  """A function, or a class and what is public in it."""
  if not inspect.isclass(thing):
    yield from _entry(f"## `{name}{_signature(thing)}`", thing)
    return
  yield from _entry(f"## `{name}`", thing)
  fields = _fields(thing)
  if fields:
    yield from (*(f"- `{field}: {kind}`" for field, kind in fields), "")
  for member, value in vars(thing).items():
    function = _function(value)
    if not member.startswith("_") and function is not None and function.__doc__:
      attribute = isinstance(value, (property, functools.cached_property))
      yield from _entry(f"### `{member}{'' if attribute else _signature(function)}`", function)


def _entry(heading: str, thing: Any) -> Iterator[str]:
  yield from (heading, "", _markdown(inspect.getdoc(thing) or ""), "")


def _markdown(docstring: str) -> str:
  """A docstring whose indented sections, such as `Args:`, are lists."""
  lines = []
  for line in docstring.splitlines():
    if line.startswith("  ") and not line.startswith("    "):
      name, colon, rest = line.strip().partition(": ")
      line = f"- `{name}`: {rest}" if colon and " " not in name else f"- {line.strip()}"
    elif line in ("Args:", "Returns:", "Raises:"):
      line = f"{line}\n"
    lines.append(line)
  return "\n".join(lines)


def _fields(thing: type) -> list[tuple[str, str]]:
  """Names and types of a dataclass or named tuple, as they are written."""
  named = dataclasses.is_dataclass(thing) or hasattr(thing, "_fields")
  kinds = thing.__annotations__ if named else {}
  return [(name, getattr(kind, "__forward_arg__", kind)) for name, kind in kinds.items() if not name.startswith("_")]


def _function(value: Any) -> Callable[..., Any] | None:
  """What a class member calls, None where it calls nothing."""
  match value:
    case property():
      return value.fget
    case functools.cached_property():
      return value.func
    case staticmethod() | classmethod():
      return value.__func__
  return value if inspect.isfunction(value) else None


def _signature(function: Callable[..., Any]) -> str:
  """As it is written, without `self`."""
  signature = inspect.signature(function)
  kept = [
    parameter.replace(annotation=_written(parameter.annotation))
    for name, parameter in signature.parameters.items()
    if name not in ("self", "cls")
  ]
  return str(signature.replace(parameters=kept, return_annotation=_written(signature.return_annotation)))


class _Written(str):
  """An annotation, which a signature shows without quotes around it."""

  def __repr__(self) -> str:
    return self.replace("'", '"')


def _written(annotation: Any) -> Any:
  """One that is not there stays that."""
  return _Written(annotation) if isinstance(annotation, str) else annotation


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m experiments.results.api")
  parser.add_argument("--check", action="store_true", help="only say whether docs/api.md is up to date")
  check, text = parser.parse_args(arguments).check, page()
  if check and (not PAGE.exists() or PAGE.read_text() != text):
    raise UserError("docs/api.md: not what the docstrings say; python -m experiments.results.api")
  if not check:
    workdir.write_bytes(PAGE, text.encode())


if __name__ == "__main__":
  command.run(main, "api")
