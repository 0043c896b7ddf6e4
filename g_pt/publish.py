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
import math
from pathlib import Path
import shlex
from typing import Any

import numpy as np

from g_pt import command, hub, release, trained, workdir
from g_pt.errors import UserError
from g_pt.evaluation import fresh
from g_pt.gpt import GPT
from g_pt.plugins import PLUGINS
from g_pt.report import page, words

_LICENCE = "apache-2.0"


def publish(directory: Path, out: Path, bits: int = 32, url: str | None = None) -> None:
  """Writes a release of a workdir's model, with its card, to a new folder; a weight is kept in one of `release.BITS`.

  The card says that `g_pt.load(url)` opens it; None: by the folder's own name. Raises UserError where there is no
  trained model, or none of its data, or where `out` holds something.
  """
  if out.exists() and (not out.is_dir() or any(out.iterdir())):
    raise UserError(f"--out: {out} is a file or holds some already; choose another folder")
  found, gpt = trained.kept(directory), trained.load_for_one_set(directory)
  made = {"made_by": _command(directory), "bits": bits, "measured": fresh.measure(gpt)._asdict()}
  content = found.content | {"config": _of_no_machine(found.content["config"])} | made
  weights = {name: np.asarray(x) for name, x in trained.flat(gpt.weights).items()}
  texts = {release.CARD: card(gpt, content, _results(directory, found.content["config"]), url or out.name)}
  if (report := directory / workdir.REPORT).exists():
    texts["report.html"] = report.read_text()
  for name, text in texts.items():
    workdir.write_bytes(out / name, text.encode())
  release.write(out, release.Release(content, found.arrays(), weights), bits)


def _of_no_machine(values: dict[str, Any]) -> dict[str, Any]:
  """The configuration without the folders of whoever trained it."""
  return values | {"data_dir": None, "corpus": values["corpus"] | {"path": None}}


def card(gpt: GPT, content: dict[str, Any], results: str, name: str) -> str:
  """The model card: what it is, how it is used, what was measured and by which command it was made."""
  task, metric = gpt.task.name, gpt.metric_name.replace("_", " ")
  return f"""---
license: {_LICENCE}
library_name: g_pt
tags: [weight-space-learning, learned-optimisation, diffusion]
---
# G.pt on {task}, by {metric}

From the weights of a network of the task `{task}` ({gpt.task.spec.size:,} parameters), its {metric} and the one that
is asked for, it samples the weights of a network that has it: one sample trains an untrained network.

```python
import g_pt, jax

gpt = g_pt.load("{name}")
network = gpt.init(jax.random.key(0))
trained = gpt.sample(network, prompt={words.setting(_prompt(gpt))}, key=jax.random.key(1))
```

It knows networks of this one architecture and task, from initial weights like those of its corpus; a prompt beyond
those that it has seen is clipped to them.

Made by

    {content["made_by"]}

Weights are kept in {content["bits"]} bits each.

## What was measured

{_of_fresh(fresh.Fresh(**content["measured"]), metric)}
{results}"""


def _prompt(gpt: GPT) -> float:
  """The best that can be asked for, in two digits, if it is not the task's own best prompt."""
  learned, best = gpt.statistics.prompt_range, gpt.metric.best_prompt
  if learned is None or gpt.metric.higher_is_better or best >= learned.low:
    return best
  digit = 10.0 ** (math.floor(math.log10(learned.low)) - 1)
  return digit * math.ceil(learned.low / digit)


def _of_fresh(found: fresh.Fresh, metric: str) -> str:
  """What anyone can measure again, in words."""
  numbers = {name: words.number(value) for name, value in found._asdict().items()}
  return (
    f"On {fresh.NETWORKS} untrained networks that are in no corpus, as `g_pt.evaluation.fresh` measures it: prompt\n"
    f"alignment is {found.alignment:.3f}, and one update takes them from a mean {metric} of {numbers['start']} to\n"
    f"{numbers['one_update']}. Samples of different starts are {numbers['different_starts']} apart, hidden units "
    f"matched, of one start\n{numbers['one_start']}."
  )


def _results(directory: Path, values: dict[str, Any]) -> str:
  """The summary of the evaluations that are there, perhaps none."""
  if workdir.read_json(directory / workdir.SUMMARY) is None:
    return ""
  sections = {name: plugin.section for name, plugin in PLUGINS.items() if name in values["evaluate"]["experiments"]}
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
