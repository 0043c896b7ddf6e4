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
import re
import shlex
import shutil
import tempfile
from typing import Any

import numpy as np

from g_pt import card, command, config, hub, provenance, release, trained, workdir
from g_pt.errors import UserError
from g_pt.evaluation import fresh
from g_pt.plugins import PLUGINS
from g_pt.report import page, results

REPORT = "report.html"


def publish(directory: Path, out: Path, bits: int = 32) -> None:
  """Writes a release of a workdir's model, with its card, to a new folder; a weight is kept in one of `release.BITS`.

  Raises UserError where there is no model that is trained to its end, or none of its data, where it was evaluated
  under other settings, and where `out` is there already or cannot be written.
  """
  with command.new_folder(out) as folder:
    found = _finished(directory)
    given, values = found.content["config"], _of_no_machine(found.content["config"])
    made_by = _made_by(directory, found.content)
    content = found.content | {"config": values, "made_by": made_by, "bits": bits}
    evaluated = _evaluated(directory, found.content)
    weights = {name: np.asarray(x) for name, x in trained.flat(trained.load(directory).weights).items()}
    release.write(folder, release.Release(content, found.arrays(), weights), bits)
    model = trained.load(folder, given.get("data_dir"))
    content["measured"] = fresh.measure(model)._asdict()  # of the weights that are given away
    workdir.write_json(folder / release.CONFIG, content)
    text = ""
    if evaluated:
      text = page.summary_text(directory, values, evaluated)
      workdir.write_bytes(folder / REPORT, page.draw(directory, values, evaluated, made_by).content)
    workdir.write_bytes(folder / release.CARD, card.card(model, content, text, f"./{out.name}").encode())


def _finished(directory: Path) -> trained.Kept:
  """A workdir's model; UserError where it is a release, or not trained to its end."""
  if release.holds_one(directory):
    raise UserError(f"--workdir: {directory} is a release already; --out={directory} --push=OWNER/NAME uploads it")
  found = trained.kept(directory)
  trained.training_seconds(directory, found.content["config"]["train"]["steps"])
  return found


def _of_no_machine(values: dict[str, Any]) -> dict[str, Any]:
  """The configuration without the folders of whoever trained it."""
  return values | {"data_dir": None, "corpus": values["corpus"] | {"path": None}}


def _evaluated(directory: Path, content: dict[str, Any]) -> dict[str, Any]:
  """Sections of the evaluations that were asked for last, perhaps none; UserError where one is of another model."""
  last = workdir.read_json(directory / workdir.CONFIG)
  asked = () if last is None else config.parse(last).experiments
  there = [name for name in asked if (directory / workdir.EVALUATION / f"{name}.json").exists()]
  found = results.evaluations(directory, there) if there else {}
  for one in found.values():
    provenance.refuse_results_of_another(one.file, one.settings, content)
  return {name: PLUGINS[name].section for name in found}


def _made_by(directory: Path, content: dict[str, Any]) -> str:
  """The command that made it, whatever stage came last."""
  if "imported" in content:
    return f"an import of published weights ({content['imported']['file']})"
  file = directory / workdir.COMMAND
  if not file.exists():
    return "g_pt.stages.run, without a command"
  flags = command.flags_of(file.read_text())
  if flags is None:  # by another program, which ran the stages
    return shlex.join(command.made_by(file.read_text()))
  return shlex.join(["python", "main.py", *flags, f"--workdir=runs/{directory.absolute().name}"])


def push(out: Path, url: str) -> str:
  """Uploads a release, with a card that opens it from there; its address. The folder stays as it is.

  Raises UserError, with the command that tries again, where that fails.
  """
  again = ["python", "-m", "g_pt.publish", f"--out={out}", f"--push={url.removeprefix(hub.SCHEME)}"]
  with tempfile.TemporaryDirectory() as copy:
    shutil.copytree(out, copy, dirs_exist_ok=True)
    file = Path(copy) / release.CARD
    if file.exists():
      file.write_text(re.sub(r'g_pt\.load\("[^"]*"\)', f'g_pt.load("{url}")', file.read_text()))
    try:
      return hub.push(Path(copy), url)
    except UserError as error:
      raise UserError(f"--push: {error}; {out} stays, and to push it again: {shlex.join(again)}") from None


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m g_pt.publish")
  parser.add_argument("--workdir", type=Path, help="of the model; without it --out is one that is there")
  parser.add_argument("--out", type=Path, required=True, help="a new folder")
  parser.add_argument("--bits", type=int, choices=release.BITS, default=32, help="that a weight is kept in")
  parser.add_argument("--push", metavar="OWNER/NAME", help="the repository of the Hugging Face Hub")
  given = parser.parse_args(arguments)
  url = None if given.push is None else f"{hub.SCHEME}{given.push}"
  if url is not None:
    hub.parse(url, hub.MODEL)  # what is malformed is refused before anything is written
  if given.workdir:
    publish(given.workdir, given.out, given.bits)
    print(f"{given.out}: {workdir.size_of(given.out) / 1e6:.1f} MB; g_pt.load({str(given.out)!r}) opens it")
  elif url is None:
    raise UserError("--workdir: needed, or --push of a folder that is there")
  elif not release.holds_one(given.out):
    raise UserError(f"--out: no release in {given.out} ({release.MODEL} is missing); --workdir makes one")
  if url is not None:
    print(f"{push(given.out, url)}: g_pt.load({url!r}) opens it")


if __name__ == "__main__":
  command.run(main, "publish")
