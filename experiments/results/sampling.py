"""How a trained G.pt would best be sampled, by validation runs alone: what `config.sample` is chosen from.

  command   python -m experiments.results.sampling runs/digits_loss [--temperatures=0,0.5,1] [--stops=0,0.2,0.4]
                [--steps=5,16] [--networks=64] [--data_dir=DIR]

A row for each combination: prompt alignment, and the metric after one update at the
best prompt, both from the initial networks of validation runs and on the recorded
data. No test run and no held-out data is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from g_pt import command, config, trained, words, workdir
from g_pt.corpus.split import split_runs
from g_pt.errors import UserError
from g_pt.evaluation import alignment
from g_pt.evaluation.base import Recorded, starts_of
from g_pt.generator import SampleConfig
from g_pt.gpt import GPT
from g_pt.job import Job
from g_pt.keys import stream

PROMPTS = 10  # a network


def measured(gpt: GPT, starts: Recorded, sample: SampleConfig, seed: int) -> tuple[float, float]:
  """Prompt alignment, and the mean metric after one update, of one way to sample; of the same noise in all of them."""
  gpt = gpt.with_config(sample)
  prompted, theta = alignment.ask(gpt, starts, PROMPTS, stream(seed, "sampling", "alignment"))
  achieved = np.asarray(gpt.evaluate(theta)[gpt.metric_name]).reshape(prompted.shape)
  best = jnp.full(len(starts.theta), gpt.metric.best_prompt)
  updated = gpt.update(*starts, best, stream(seed, "sampling", "one_update"))
  aligned = alignment.summary(prompted, achieved, gpt.statistics.prompt_range)["mean"]
  return aligned, float(gpt.evaluate(updated)[gpt.metric_name].mean())


def opened(directory: Path, networks: int, data_dir: str | None) -> tuple[GPT, Recorded, int]:
  """The G.pt of a workdir, the initial networks of its validation runs, its seed."""
  gpt = trained.load_for_one_set(directory, data_dir)
  experiment = config.parse(workdir.read_json(directory / workdir.TRAINED)["config"])
  corpus = Job(experiment, directory).open_corpus()
  runs = split_runs(corpus, experiment.split).validation[:networks]
  if len(runs) < 2:
    raise UserError(f"{corpus.path}: {len(runs)} validation runs are too few to choose by")
  return gpt, starts_of(corpus, gpt.metric_name, runs), experiment.seed


def ways(own: SampleConfig, **values: Sequence[Any]) -> list[SampleConfig]:
  """Every combination of the values of fields; UserError where one is out of its field's range."""
  try:
    return [dataclasses.replace(own, **dict(zip(values, chosen))) for chosen in itertools.product(*values.values())]
  except ValueError as error:
    raise UserError(f"--{error}") from None


def _listed(kind: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
  def listed(text: str) -> tuple[Any, ...]:
    return tuple(kind(part) for part in text.split(","))

  listed.__name__ = f"comma-separated {kind.__name__}"
  return listed


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m experiments.results.sampling")
  parser.add_argument("workdir", type=Path)
  parser.add_argument("--temperatures", type=_listed(float), default=(0.0, 0.5, 1.0))
  parser.add_argument("--stops", type=_listed(float), default=(0.0, 0.2, 0.4))
  parser.add_argument("--steps", type=_listed(int), help="default: as configured")
  parser.add_argument("--networks", type=int, default=64, help="validation runs")
  parser.add_argument("--data_dir", help="where TFDS keeps images")
  given = parser.parse_args(arguments)
  gpt, starts, seed = opened(given.workdir, given.networks, given.data_dir)
  own, label = gpt.config, gpt.metric.label
  chosen = ways(own, temperature=given.temperatures, stop=given.stops, steps=given.steps or (own.steps,))
  print(f"{len(starts.theta)} validation runs; as configured: {own}")
  print(f"temperature  stop  steps  alignment  {label} after one update", flush=True)
  for way in chosen:
    aligned, after = measured(gpt, starts, way, seed)
    cells = f"{way.temperature:11g}  {way.stop:4g}  {way.steps:5d}  {words.number(aligned):>9}"
    print(f"{cells}  {words.number(after)}", flush=True)


if __name__ == "__main__":
  command.run(main, "sampling")
