"""The manifest of a corpus: what it holds, and which groups of its runs are whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import json
from typing import Any

from g_pt.corpus import storage
from g_pt.errors import CorpusError

MANIFEST = "manifest.json"
FORMAT = 2  # 1, and corpora that name none: a chunk was a whole group


@dataclasses.dataclass(frozen=True)
class Manifest:
  """What a corpus holds."""

  task: str
  settings: dict[str, Any]  # all that its numbers depend on: seed, recipe, checkpoints, ...
  parameters: list[list[Any]]  # [name, shape] in the order of the flat vector
  metrics: list[str]
  runs: int
  checkpoints: int
  group_size: int  # runs of a group; the last group may be smaller
  versions: dict[str, str]  # of the libraries that made it
  groups_done: list[int] = dataclasses.field(default_factory=list)
  seconds: float = 0.0  # spent on the groups done
  format: int = FORMAT

  @property
  def num_groups(self) -> int:
    return -(-self.runs // self.group_size)

  @property
  def complete(self) -> bool:
    return len(self.groups_done) == self.num_groups

  @property
  def imported(self) -> dict[str, Any] | None:
    """Where the runs came from if they were not made here; None: they were."""
    return self.settings.get("imported")

  @property
  def cut(self) -> dict[str, Any] | None:
    """What it was cut from: `runs` and `group_size` of that, and `parts`, the ranges of its runs that are here.

    None: it is whole. All other settings are those of the corpus that it was cut from.
    """
    return self.settings.get("cut")


def exists(path: storage.Place) -> bool:
  """Whether a corpus is at a folder or URL, whole or begun."""
  return storage.read_bytes(storage.place_of(path), MANIFEST) is not None


def read_manifest(path: storage.Place) -> Manifest:
  """Raises CorpusError where there is none, or one of another format, or one that cannot be understood."""
  place = storage.place_of(path)
  # Before the first one, which has what they said once they are taken away.
  others = [storage.read_bytes(place, name) for name in other_manifests(place)]
  file, content = f"{place}/{MANIFEST}", storage.read_bytes(place, MANIFEST)
  if content is None:
    raise CorpusError(f"{place}: no corpus here ({MANIFEST} is missing)")
  try:
    fields = json.loads(content)
    if isinstance(fields, dict) and fields.get("format") != FORMAT:
      found = f"format {fields['format']}" if "format" in fields else "no format"
      raise CorpusError(
        f"{file}: {found}, and this version reads format {FORMAT}; make the corpus again by --stage=corpus, "
        f"after deleting {path} or with another place in --config.corpus.path"
      )
    return _merged(Manifest(**fields), [json.loads(other) for other in others if other is not None])
  except (json.JSONDecodeError, UnicodeDecodeError, TypeError, KeyError) as error:
    raise CorpusError(f"{file}: not a corpus manifest: {error}") from None


def other_manifests(place: storage.Place) -> list[str]:
  """Names of those of the other processes of a job; a published corpus has none."""
  if storage.read_only(place):
    return []
  return [name for name in storage.names(place, "manifest.") if name != MANIFEST and name.endswith(".json")]


def _merged(manifest: Manifest, others: Sequence[Mapping[str, Any]]) -> Manifest:
  """With what the other processes of a job have made; the seconds are those of the slowest."""
  done, seconds = set(manifest.groups_done), manifest.seconds
  for fields in others:
    done, seconds = done | {*fields["groups_done"]}, max(seconds, fields["seconds"])
  return dataclasses.replace(manifest, groups_done=sorted(done), seconds=seconds)
