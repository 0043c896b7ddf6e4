"""A trained G.pt of a workdir -> a folder to give away.

    python -m g_pt.publish --workdir=runs/mnist_loss --out=releases/mnist_loss [--bits=8] [--push=OWNER/NAME]
    python -m g_pt.publish --out=releases/mnist_loss --push=OWNER/NAME

The folder holds the averaged weights, all that sampling needs beside them, the
report and a model card; `g_pt.load("releases/mnist_loss")` opens it, and samples are
those of the workdir, bit by bit. With `--bits=16` weights are of half precision, with
`--bits=8` each is a byte, and the file is a half or a quarter as large.

`--push` uploads the folder to a repository of the Hugging Face Hub, which is made
where there is none; `g_pt.load("hf://OWNER/NAME")` opens it. The second command
uploads a folder that is there. The folder stays in either case.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import shlex
from typing import Any

import numpy as np

from g_pt import card, command, hub, release, trained, workdir
from g_pt.errors import UserError
from g_pt.evaluation import fresh
from g_pt.plugins import PLUGINS
from g_pt.report import page


def publish(directory: Path, out: Path, bits: int = 32, url: str | None = None) -> None:
  """Writes a release of a workdir's model, with its card, to a new folder; a weight is kept in one of `release.BITS`.

  The card says that `g_pt.load(url)` opens it; None: by the folder's own name. Raises UserError where there is no
  trained model, or none of its data, or where `out` holds something.
  """
  command.refuse_filled(out)
  found, model = trained.kept(directory), trained.load(directory)
  measured = fresh.measure(model)._asdict()
  made = {"made_by": _command(directory), "bits": bits, "measured": measured}
  content = found.content | {"config": _of_no_machine(found.content["config"])} | made
  weights = {name: np.asarray(x) for name, x in trained.flat(model.weights).items()}
  texts = {release.CARD: card.card(model, content, _results(directory, found.content["config"]), url or out.name)}
  if (report := directory / workdir.REPORT).exists():
    texts["report.html"] = report.read_text()
  for name, text in texts.items():
    workdir.write_bytes(out / name, text.encode())
  release.write(out, release.Release(content, found.arrays(), weights), bits)


def _of_no_machine(values: dict[str, Any]) -> dict[str, Any]:
  """The configuration without the folders of whoever trained it."""
  return values | {"data_dir": None, "corpus": values["corpus"] | {"path": None}}


def _results(directory: Path, values: dict[str, Any]) -> str:
  """The summary of the evaluations that are there, perhaps none."""
  found = workdir.read_json(directory / workdir.SUMMARY)
  if found is None:
    return ""
  sections = {name: plugin.section for name, plugin in PLUGINS.items() if name in found}
  return f"\n```\n{page.summary_text(directory, values, sections).rstrip()}\n```\n"


def _command(directory: Path) -> str:
  """What made it, whatever stage came last."""
  file = directory / workdir.COMMAND
  if not file.exists():
    return "an import of published weights"
  return shlex.join(part for part in shlex.split(file.read_text()) if not part.startswith("--stage="))


def push(out: Path, url: str) -> str:
  """The address of a repository with the release of a folder; UserError, with the command that tries again."""
  again = ["python", "-m", "g_pt.publish", f"--out={out}", f"--push={url.removeprefix(hub.SCHEME)}"]
  try:
    return hub.push(out, url)
  except UserError as error:
    raise UserError(f"--push: {error}; {out} stays, and to push it again: {shlex.join(again)}") from None


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m g_pt.publish")
  parser.add_argument("--workdir", type=Path, help="of the model; without it --out is one that is there")
  parser.add_argument("--out", type=Path, required=True, help="a new folder")
  parser.add_argument("--bits", type=int, choices=release.BITS, default=32, help="that a weight is kept in")
  parser.add_argument("--push", metavar="OWNER/NAME", help="the repository of the Hugging Face Hub")
  given = parser.parse_args(arguments)
  url = given.push and f"{hub.SCHEME}{given.push}"
  if url:
    hub.parse(url, hub.MODEL)  # what is malformed is refused before anything is written
  if given.workdir:
    publish(given.workdir, given.out, given.bits, url)
    size = sum(file.stat().st_size for file in given.out.iterdir())
    print(f"{given.out}: {size / 1e6:.1f} MB; g_pt.load({str(given.out)!r}) opens it")
  elif not url:
    raise UserError("--workdir: needed, or --push of a folder that is there")
  elif not release.holds_one(given.out):
    raise UserError(f"--out: no release in {given.out} ({release.MODEL} is missing); --workdir makes one")
  if url:
    print(f"{push(given.out, url)}: g_pt.load({url!r}) opens it")


if __name__ == "__main__":
  command.run(main, "publish")
