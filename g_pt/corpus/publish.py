"""A corpus -> a folder to give away.

    python -m g_pt.corpus.publish --workdir=runs/mnist_loss --out=releases/mnist_corpus [--tiny]
    python -m g_pt.corpus.publish --corpus=gs://BUCKET/PREFIX --out=releases/mnist_corpus [--tiny]

The folder holds the corpus itself, which `--config.corpus.path=releases/mnist_corpus`
opens; metrics.parquet, a row a checkpoint; parameters.json, where each parameter
lies in the flat vector; a dataset card; the same for machines, croissant.json; and
SHA256SUMS. With `--tiny` it is a cut of at most 100 MB, a corpus of its own: the
first groups of each split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import hashlib
from pathlib import Path
import shlex
from typing import NamedTuple

from jaxtyping import Shaped
import numpy as np

from g_pt import command, workdir
from g_pt.corpus import about, card, croissant, cut, storage, table
from g_pt.corpus.manifest import MANIFEST
from g_pt.corpus.split import SplitConfig, check_complete, held_out_from, sound, split_runs
from g_pt.corpus.store import Corpus
from g_pt.errors import UserError

TABLE, PARAMETERS = "metrics.parquet", "parameters.json"
CARD, CROISSANT, SUMS = "README.md", "croissant.json", "SHA256SUMS"
TINY = 100_000_000  # bytes


class Source(NamedTuple):
  """A corpus, and what is not in it."""

  place: storage.Place
  config: SplitConfig
  flags: str | None = None  # of `main.py`, which make it; None: its manifest alone says how


def of_workdir(directory: Path, place: storage.Place | None = None) -> Source:
  """That of a workdir, at another place if one is given. Raises UserError where there is no workdir."""
  file = directory / workdir.CONFIG
  values = workdir.read_json(file)
  if values is None:
    raise UserError(f"{file}: missing; run --stage=corpus")
  try:
    corpus = values["corpus"]
    config = SplitConfig(**{name: corpus[name] for name in ("validation_runs", "test_runs", "largest_weight")})
    found = place or corpus["path"] or directory / workdir.CORPUS
  except (KeyError, TypeError, ValueError) as error:
    raise UserError(f"{file}: not a configuration of this version: {error}") from None
  text = directory / workdir.COMMAND
  flags = command.flags_of(text.read_text()) if text.exists() else None
  return Source(storage.place_of(found), config, None if flags is None else shlex.join(flags))


def publish(source: Source, out: Path, limit: int | None = None, url: str | None = None) -> about.About:
  """Writes the folder; of `limit` bytes at most, if one is given.

  Raises UserError where the corpus is missing, unfinished, damaged or not to be split
  so, where a cut cannot be so small, or where `out` is there already or cannot be written.
  """
  with command.new_folder(out) as folder:
    return _write(source, folder, limit, url)


def _write(source: Source, out: Path, limit: int | None, url: str | None) -> about.About:
  corpora = {"": Corpus.open(source.place)} | {name: _inside(source.place, name) for name in _further(source.place)}
  for corpus in corpora.values():
    check_complete(corpus)
  split_runs(corpora[""], source.config)  # refused before anything is written
  choices = {name: _choice(name, corpora, source.config, limit) for name in corpora}
  copies = {name: cut.copy(corpus, choices[name], out / name) for name, corpus in corpora.items()}
  rows = {name: _describe(copy, _split(name, copy, source.config), out / name) for name, copy in copies.items()}
  found = _about(source, out.name, copies, rows[""])
  _tell(found, rows[""], out, url)
  if limit is not None and (size := workdir.size_of(out)) > limit:
    raise UserError(f"--tiny: the cut came to {size / 1e6:.3g} MB of {limit / 1e6:.3g}; nothing is left of it")
  return found


def _further(place: storage.Place) -> list[str]:
  """Folders inside a corpus with one of other numbers of classes."""
  return [name.split("/")[0] for name in storage.names(place, "classes_") if name.endswith(f"/{MANIFEST}")]


def _inside(place: storage.Place, name: str) -> Corpus:
  return Corpus.open(place / name if isinstance(place, Path) else f"{place}/{name}")


def _choice(name: str, corpora: Mapping[str, Corpus], config: SplitConfig, limit: int | None) -> cut.Choice:
  """Of a limit each corpus has its share."""
  corpus = corpora[name]
  if limit is None:
    return cut.whole(corpus.manifest)
  room = limit - cut.BESIDE_RUNS * len(corpora)
  share = cut.size(corpus.manifest) / sum(cut.size(other.manifest) for other in corpora.values())
  starts = (0,) if name else (0, *held_out_from(corpus, config))
  return cut.within(corpus.manifest, starts, int(room * share))


def _split(name: str, corpus: Corpus, config: SplitConfig) -> Shaped[np.ndarray, "run"]:
  """What each run is for; of a further corpus all are for training."""
  if not name:
    return table.split_names(split_runs(corpus, config), corpus.manifest.runs)
  return np.where(sound(corpus, config.largest_weight), table.SPLITS[0], table.REJECTED).astype(object)


def _describe(corpus: Corpus, split: Shaped[np.ndarray, "run"], out: Path) -> table.Table:
  """Writes the table of a copied corpus, which is returned, and the index of its parameters."""
  rows = table.checkpoints(corpus, split)
  workdir.write_bytes(out / TABLE, table.parquet_bytes(rows))
  workdir.write_json(out / PARAMETERS, about.index(corpus.manifest))
  return rows


def _about(source: Source, name: str, copies: Mapping[str, Corpus], rows: table.Table) -> about.About:
  manifest = copies[""].manifest
  flags = about.flags_of(manifest, source.config) if source.flags is None or manifest.imported else source.flags
  split, last = np.asarray(rows["split"]), np.asarray(rows["checkpoint"]) == manifest.checkpoints - 1
  sound_ends = last & (split != table.REJECTED)
  further = {name: copy.manifest for name, copy in copies.items() if name}
  return about.About(
    name=name,
    manifest=manifest,
    config=source.config,
    split={name: int(np.sum(split[last] == name)) for name in (*table.SPLITS, table.REJECTED)},
    ends={name: about.ends(np.asarray(rows[name])[sound_ends]) for name in manifest.metrics},
    flags=flags,
    further=further,
  )


def _tell(found: about.About, rows: table.Table, out: Path, url: str | None) -> None:
  """Writes the card, the same for machines, and the sums of all files, which mean that all are there."""
  digests = {}
  for file in sorted(file for file in out.rglob("*") if file.is_file()):
    with file.open("rb") as opened:
      digests[str(file.relative_to(out))] = hashlib.file_digest(opened, "sha256").hexdigest()
  described = croissant.croissant(found, table.kinds(rows), digests, url)
  for name, content in ((CARD, card.card(found).encode()), (CROISSANT, workdir.json_bytes(described))):
    workdir.write_bytes(out / name, content)
    digests[name] = hashlib.sha256(content).hexdigest()
  lines = (f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
  workdir.write_bytes(out / SUMS, "".join(lines).encode())


def _source(workdir_given: Path | None, place: str | None, held_out: Mapping[str, int | None]) -> Source:
  """What the flags name."""
  chosen = {name: runs for name, runs in held_out.items() if runs is not None}
  if workdir_given is not None:
    if chosen:
      raise UserError(f"--{next(iter(chosen)).replace('_', '-')}: the configuration of --workdir says it")
    return of_workdir(workdir_given, place)
  if place is None:
    raise UserError("give --workdir, or --corpus")
  try:
    return Source(storage.place_of(place), SplitConfig(**chosen))
  except ValueError as error:
    raise UserError(f"--corpus: {error}") from None


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m g_pt.corpus.publish")
  parser.add_argument("--workdir", type=Path, help="its corpus, split as its configuration says")
  parser.add_argument("--corpus", help="a folder or URL; beside --workdir: where its corpus is")
  parser.add_argument("--out", type=Path, required=True, help="a new folder")
  parser.add_argument("--tiny", action="store_true", help=f"a cut of at most {TINY // 10**6} MB")
  parser.add_argument("--validation-runs", type=int, help="of a --corpus; 64 if not given")
  parser.add_argument("--test-runs", type=int, help="of a --corpus; 64 if not given")
  parser.add_argument("--url", help="where it will be found, for croissant.json")
  given = parser.parse_args(arguments)
  held_out = {"validation_runs": given.validation_runs, "test_runs": given.test_runs}
  source = _source(given.workdir, given.corpus, held_out)
  found = publish(source, given.out, TINY if given.tiny else None, given.url)
  of_all = f"{found.manifest.cut['runs']:,}" if found.manifest.cut else "all"
  print(
    f"{given.out}: {workdir.size_of(given.out) / 1e6:.1f} MB, {found.manifest.runs:,} runs of {of_all}; "
    f"--config.corpus.path={given.out} trains on it"
  )


if __name__ == "__main__":
  command.run(main, "publish")
