"""The card of a published model: Markdown behind a front matter that the Hugging Face hub reads."""

from __future__ import annotations

import math
import textwrap
from typing import Any

from g_pt import words
from g_pt.corpus.about import LICENCE, LICENCE_TERMS
from g_pt.corpus.statistics import PromptRange
from g_pt.evaluation import fresh
from g_pt.family_gpt import FamilyGPT
from g_pt.gpt import GPT
from g_pt.tasks import family
from g_pt.tasks.base import Metric

_OF_ONE_SET = """From the weights of a network of the task `{task}` ({size:,} parameters), its {metric} and the one
that is asked for, it samples the weights of a network that has it: one sample trains an untrained network."""
_OF_MANY_SETS = """Told of a data set by its images and labels, and given the weights of a network (task `{task}`,
{size:,} parameters), its {metric} and the one that is asked for, it samples the weights of a network that has it: one
sample trains an untrained network for a data set that the model has never seen."""
_LIMITS = """It knows networks of this one architecture, {known}. They begin at weights like those of its corpus. A
prompt beyond those that it has seen is clipped to them. One model was measured, trained once from one seed; another
processor makes another one of the same command."""


def card(model: GPT | FamilyGPT, content: dict[str, Any], results: str, name: str) -> str:
  """What it is, how it is used, what was measured and by which command it was made.

  `results` is the summary of its evaluations, perhaps empty; `name` is what `load` is given.
  """
  metric, opened = model.metric_name.replace("_", " "), f'g_pt.load("{name}")'
  if isinstance(model, FamilyGPT):
    text, learned = _OF_MANY_SETS, model.statistics.prompt_ranges[model.metric_name]
    opened, told = f"{opened}.on(images, labels)  # of your own", _told_of(model.task.name)
    known = "which see images as small grey squares"
  else:
    text, learned, told = _OF_ONE_SET, model.statistics.prompt_range, ""
    known = "trained on this one data set or environment"
  prompt = words.setting(_prompt(model.task.metric(model.metric_name), learned))
  return f"""---
license: {LICENCE}
library_name: g_pt
tags: [weight-space-learning, learned-optimisation, diffusion]
---
# G.pt on {model.task.name}, by {metric}

{text.format(task=model.task.name, size=model.task.spec.size, metric=metric)}

```python
import g_pt, jax

gpt = {opened}
network = gpt.init(jax.random.key(0))
trained = gpt.sample(network, prompt={prompt}, key=jax.random.key(1))
```

Made by

    {content["made_by"]}

Weights are kept in {content["bits"]} bits each.

## What was measured

{_of_fresh(fresh.Fresh(**content["measured"]), metric, told)}
{_tables(results, content["bits"])}
## Limits

{textwrap.fill(_LIMITS.format(known=known), 120)}

## Licence

{LICENCE_TERMS}
"""


def _told_of(task: str) -> str:
  """The data set that a model of many was measured on, and whether its corpus was drawn from it, too."""
  return f", told of {fresh.TOLD}" + (", a source of its corpus" if fresh.TOLD in family.sources_of(task) else "")


def _tables(results: str, bits: int) -> str:
  """The summary of the evaluations as a block, where there is one."""
  if not results:
    return ""
  rounded = "" if bits == 32 else f"\nThese were measured before weights were rounded to {bits} bits:\n"
  return f"{rounded}\n```\n{results.rstrip()}\n```\n"


def _prompt(metric: Metric, learned: PromptRange | None) -> float:
  """The best that can be asked for, in two digits, if it is not the task's own best prompt."""
  if learned is None or metric.higher_is_better or metric.best_prompt >= learned.low:
    return metric.best_prompt
  digit = 10.0 ** (math.floor(math.log10(learned.low)) - 1)
  return digit * math.ceil(learned.low / digit)


def _of_fresh(found: fresh.Fresh, metric: str, told: str) -> str:
  """What anyone can measure again, in words; `told`: of which data set, where there are many."""
  numbers = {name: words.number(value) for name, value in found._asdict().items()}
  text = (
    f"On {fresh.NETWORKS} untrained networks that are in no corpus{told}, as `g_pt.evaluation.fresh` measures it: "
    f"prompt alignment is {found.alignment:.3f}, and one update takes them from a mean {metric} of {numbers['start']} "
    f"to {numbers['one_update']}. Samples of different starts are {numbers['different_starts']} apart, hidden units "
    f"matched, of one start {numbers['one_start']}."
  )
  return textwrap.fill(text, 120)
