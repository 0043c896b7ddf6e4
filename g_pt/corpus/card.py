"""The card of a published corpus: Markdown behind a front matter that the Hugging Face hub reads."""

from __future__ import annotations

import json

from g_pt.corpus import about as told
from g_pt.corpus.about import About
from g_pt.corpus.table import REJECTED, SPLITS

_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")


def card(about: About) -> str:
  """The whole file."""
  parts = [_front(about), f"# {about.name}", told.summary(about), _further(about), _files(about)]
  parts += ["## How it was made", told.made(about.manifest), _recipe(about), _again(about)]
  parts += ["## Metrics at the ends of runs", "Over all sound runs, at their last checkpoints.", _ends(about)]
  parts += ["## Splits", told.splits(about.manifest), _splits(about)]
  parts += ["## How to open it", _opening(about), "## Parameters", _parameters(about)]
  parts += ["## Limits", "\n".join(f"- {line}" for line in [*told.limits(about), told.BIASES])]
  parts += ["## Licence", told.LICENCE_TERMS]
  return "\n\n".join(part for part in parts if part) + "\n"


def _front(about: About) -> str:
  rows = about.manifest.runs * about.manifest.checkpoints
  return f"""---
license: {told.LICENCE}
pretty_name: {json.dumps(f"Checkpoints of {about.manifest.task} networks: {about.name}")}
tags: [weight-space-learning, model-zoo, neural-network-weights, checkpoints, g_pt]
size_categories: ["{_size_category(rows)}"]
configs:
- config_name: metrics
  data_files:
  - split: checkpoints
    path: metrics.parquet
---"""


def _size_category(rows: int) -> str:
  below = [10 ** (3 + place) for place in range(len(_SIZES))]
  place = sum(rows >= bound for bound in below)
  if place == 0:
    return f"n<{_SIZES[0]}"
  return f"n>{_SIZES[-1]}" if place == len(_SIZES) else f"{_SIZES[place - 1]}<n<{_SIZES[place]}"


def _further(about: About) -> str:
  """Of corpora inside this one."""
  lines = (f"`{name}/`: {manifest.task}, {manifest.runs:,} runs" for name, manifest in about.further.items())
  found = "; ".join(lines)
  return f"Inside it are corpora of networks with other numbers of classes, all for training: {found}." if found else ""


def _files(about: About) -> str:
  sizes = f"{about.manifest.runs:,}, {about.manifest.checkpoints}"
  return f"""| file | what |
|---|---|
| `theta/` | zarr v3, float32 [{sizes}, {told.index(about.manifest)["size"]:,}]: run, checkpoint, parameter |
| `metrics/NAME/`, `step/` | zarr v3, float32 and int32 [{sizes}]: each metric, and the step of each checkpoint |
| `largest/` | zarr v3, float32 [{about.manifest.runs:,}]: the greatest magnitude of any weight of a run |
| `manifest.json` | what the corpus is: task, settings, parameters, versions |
| `metrics.parquet` | a row a checkpoint: run, checkpoint, step, split and each metric |
| `parameters.json` | name, shape, offset and size of each parameter array in the flat vector |
| `croissant.json` | this card for machines (Croissant 1.0) |
| `SHA256SUMS` | of all files; `sha256sum -c SHA256SUMS` checks them |"""


def _recipe(about: About) -> str:
  recipe = about.manifest.settings.get("recipe")
  if recipe is None:
    return ""
  return _table(("recipe", "value"), [(name, json.dumps(value)) for name, value in recipe.items()])


def _again(about: About) -> str:
  """The commands that make it and train on it."""
  if not about.flags:
    return ""
  cut = about.manifest.cut is not None
  source = "The corpus that it was cut from is made" if cut else "It is made"
  kind = ", where EXPERIMENT is one of `experiments/` of such a task," if "=EXPERIMENT" in about.flags else ""
  return f"""{source} again in a checkout of g_pt{kind} by

    python main.py {about.flags} --workdir=runs/again --stage=corpus

and a G.pt is trained on this folder by

    python main.py {about.flags} --workdir=runs/mine --config.corpus.path={about.name}"""


def _ends(about: About) -> str:
  rows = [(told.label(about.manifest, name), *(f"{x:.3g}" for x in values)) for name, values in about.ends.items()]
  return _table(("metric", *told.QUANTILES), rows)


def _parameters(about: About) -> str:
  entries = told.index(about.manifest)["parameters"]
  rows = [(entry["name"], " x ".join(map(str, entry["shape"])), entry["offset"]) for entry in entries]
  return _table(("name", "shape", "offset"), rows)


def _splits(about: About) -> str:
  names = (*SPLITS, REJECTED)
  return _table(names, [tuple(f"{about.split[name]:,}" for name in names)])


def _opening(about: About) -> str:
  metric = about.manifest.metrics[0]
  held = ", ".join(f"{name}={value}" for name, value in told.split_settings(about.config).items())
  return f"""With g_pt:

```python
from g_pt.corpus.split import SplitConfig, split_runs
from g_pt.corpus.store import Corpus

corpus = Corpus.open("{about.name}")
split = split_runs(corpus, SplitConfig({held}))
ends = corpus.read(corpus.theta, split.train, checkpoint=-1)  # [run, parameter]
{metric} = corpus.read(corpus.metrics["{metric}"], split.train)  # [run, checkpoint]
```

Without it, by pandas and TensorStore (`pip install pandas pyarrow tensorstore`):

```python
import json
import pandas
import tensorstore

table = pandas.read_parquet("{about.name}/metrics.parquet")
spec = {{"driver": "zarr3", "kvstore": {{"driver": "file", "path": "{about.name}/theta/"}}}}
theta = tensorstore.open(spec, read=True).result()
row = table[table.split == "test"].sort_values("{metric}").iloc[0]  # the test run's checkpoint with the lowest
vector = theta[row.run, row.checkpoint].read().result()
with open("{about.name}/parameters.json") as file:
  parameters = json.load(file)["parameters"]
network = {{p["name"]: vector[p["offset"] : p["offset"] + p["size"]].reshape(p["shape"]) for p in parameters}}
```"""


def _table(head: tuple[str, ...], rows: list[tuple]) -> str:
  lines = [head, ("---",) * len(head), *rows]
  return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
