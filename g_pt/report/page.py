"""The report: one self-contained page, written from what evaluation left in the workdir."""

from __future__ import annotations

import html
from importlib import metadata
import json
from pathlib import Path
import platform
import shlex
import string
from typing import Any, NamedTuple

from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from g_pt import tasks, workdir
from g_pt.config import Experiment
from g_pt.report import figures, results, table, template, words
from g_pt.report.results import Results
from g_pt.tasks.base import Metric

_LIBRARIES = ("g-pt-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "plotly")


class Section(NamedTuple):
  """A heading, a caption and figures by their titles; a note stands where a figure cannot be drawn."""

  title: str
  caption: str
  figures: dict[str, Figure]
  note: str = ""


def write(directory: Path, experiment: Experiment, command: str | None = None) -> None:
  """Writes report/index.html, whole or not at all. `command` is the command line that made the workdir.

  Raises UserError, naming the file, where one is missing or cannot be read.
  """
  found = results.read(directory)
  metric = tasks.get(found.summary["task"]).metric(found.summary["metric"])
  sections = (
    _alignment(found, metric, experiment),
    _one_update(found, metric),
    _training(found, experiment),
    _corpus(found, metric),
  )
  content = _render(found, metric, sections, experiment, command or _likely_command(directory))
  workdir.write_bytes(directory / workdir.REPORT, content.encode())


def summary_text(summary: dict[str, Any]) -> str:
  """The summary as about 25 aligned lines for a terminal."""
  return table.text(summary, summary["one_update"].get("optimizer_steps"))


def _alignment(found: Results, metric: Metric, experiment: Experiment) -> Section:
  splits = {"train": ("Training runs", figures.TRAINING_RUNS), "test": ("Unseen runs", figures.GPT)}
  values = {
    split: (found.array(f"alignment.{split}.prompted"), found.array(f"alignment.{split}.achieved")) for split in splits
  }
  shown = figures.common_range(*(part for pair in values.values() for part in pair))
  drawn = {}
  for split, (title, colour) in splits.items():
    score = words.number(found.summary["prompt_alignment"][split])
    figure = figures.alignment(*values[split], metric, colour, experiment.report.networks, shown)
    drawn[f"{title}: alignment {score}"] = figure
  networks, prompts = values["test"][0].shape
  caption = (
    f"Each of {networks} freshly initialised networks is asked for {prompts} values, from "
    f"{words.setting(metric.best_prompt)} to the one it has, and gets one update for each. Thin lines are single "
    "networks; the band holds the middle 80 % of all of them. Prompt alignment is the mean over networks of the R² "
    "of achieved against prompted: 1 is perfect, and leaving every network as it is scores "
    f"{words.number(figures.unmoved_score(prompts))}."
  )
  return Section("Do networks get what is asked for?", caption, drawn)


def _one_update(found: Results, metric: Metric) -> Section:
  title = "One update against hand-made optimizers"
  one = found.summary["one_update"]
  if not found.optimizers:
    return Section(title, "", {}, "This task names no optimizers to compare one update with.")
  curves = {
    name: figures.Curve(found.array(f"curves.{name}"), one["learning_rate"][name], one["steps_to_match"][name])
    for name in found.optimizers
  }
  arrays = (found.array(f"one_update.{name}") for name in ("start", "achieved"))
  figure = figures.one_update(*arrays, found.array("curves.step"), curves, metric)
  caption = (
    f"Mean over {one['networks']} unseen, freshly initialised networks; bands hold the middle 80 % of them. The "
    f"diamond is one G.pt update prompted for {words.setting(one['prompt'])}, with its lowest and highest network; "
    "rings show the first step at which an optimizer's mean is as good. Each optimizer has the best of the learning "
    "rates tried, chosen on other networks."
  )
  never = [words.optimizer(name) for name, curve in curves.items() if curve.steps_to_match is None]
  note = f"Not as good within {words.count(found.optimizer_steps)} steps: {', '.join(never)}." if never else ""
  return Section(title, caption, {f"{metric.label[:1].upper()}{metric.label[1:]} over optimizer steps": figure}, note)


def _training(found: Results, experiment: Experiment) -> Section:
  title = "How G.pt learned"
  if not found.training:
    return Section(title, "", {}, "This workdir holds no training steps.")
  drawn, notes = {}, []
  step, score, seconds = found.logged("prompt_alignment")
  if step.size:
    drawn["Prompt alignment"] = figures.probes(step, score, seconds, experiment.evaluate.prompts)
  else:
    notes.append("Prompt alignment was not measured during training (train.probe_every).")
  step, loss, seconds = found.logged("loss")
  if step.size:
    drawn["Training loss"] = figures.training_loss(step, loss, seconds)
  else:
    notes.append("No training loss was logged (train.log_every).")
  caption = "Measured as training went on: alignment of the averaged weights on some of the unseen runs, and the loss."
  return Section(title, caption, drawn, " ".join(notes))


def _corpus(found: Results, metric: Metric) -> Section:
  corpus = found.summary["corpus"]
  arrays = {name: found.array(f"corpus.{name}") for name in ("step", "quantile", "examples")}
  histogram = found.array("corpus.histogram_count"), found.array("corpus.histogram_edge")
  drawn = {
    "Training runs": figures.corpus_over_steps(**arrays, metric=metric),
    "How often each value occurs": figures.corpus_histogram(*histogram, metric),
  }
  caption = (
    f"{words.count(corpus['runs'])} training runs with {words.count(corpus['checkpoints'])} checkpoints each, "
    f"{words.count(corpus['test_runs'])} of the runs held out; here are those that G.pt was trained on."
  )
  return Section("The corpus it learned from", caption, drawn)


def _likely_command(directory: Path) -> str:
  return f"python main.py --config=EXPERIMENT.py --workdir={shlex.quote(str(directory))}"


def _render(found: Results, metric: Metric, sections: tuple[Section, ...], experiment: Experiment, command: str) -> str:
  drawn, bodies = {}, []
  for section in sections:
    bodies.append(_section(section, first=len(drawn)))
    drawn |= {f"plot-{len(drawn) + i}": figure for i, figure in enumerate(section.figures.values())}
  bodies += [_summary(found), _origin(experiment, command)]
  # plotly's own encoder writes < as \u003c, so that no text can end the script element.
  encoded = ", ".join(f'"{name}": {figure.to_json()}' for name, figure in drawn.items())
  return string.Template(template.PAGE).substitute(
    title=_text(f"G.pt on {found.summary['task']}: {metric.label}"),
    policy=template.POLICY,
    style=template.STYLE,
    lead=_lead(found, metric),
    keys=_keys(found, metric),
    sections="\n".join(bodies),
    plotly=get_plotlyjs(),
    figures=f"{{{encoded}}}",
    script=template.SCRIPT,
  )


def _lead(found: Results, metric: Metric) -> str:
  return _paragraph(
    f"G.pt is a diffusion model that has read the checkpoints of {words.count(found.summary['corpus']['runs'])} "
    f"training runs of small networks and now trains such networks itself: given a network, its {metric.label} "
    "and the value that is wanted, it samples new weights in one update. This page shows how closely networks get "
    "the value asked for, and how many steps of hand-made optimizers one update is worth."
  )


def _keys(found: Results, metric: Metric) -> str:
  """The few numbers that one should take away."""
  summary = found.summary
  one, alignment = summary["one_update"], summary["prompt_alignment"]
  keys = [
    (
      words.number(alignment["test"]),
      f"prompt alignment on unseen runs ({words.number(alignment['train'])} on training runs)",
    ),
    (
      f"{words.number(one['start_mean'])} → {words.number(one['achieved_mean'])}",
      f"{metric.label} before and after one update, mean of {one['networks']} unseen networks",
    ),
  ]
  reached = [(steps, name) for name, steps in one["steps_to_match"].items() if steps is not None]
  if reached:
    steps, name = min(reached)
    optimizer = words.optimizer(name)
    worth = f"of {optimizer}, the fastest optimizer here, to be as good" if steps else "is all that one update is worth"
    keys.append((words.plural(steps, "step"), worth))
  elif found.optimizers:
    steps = words.count(found.optimizer_steps)
    keys.append((f"> {steps} steps", "of every optimizer compared: none is as good by the end of its run"))
  time = summary.get("seconds", {}).get("train")
  trained = f", trained in {words.duration(time)}" if time is not None else ""
  keys.append((words.short_count(summary["model"]["parameters"]), f"parameters of G.pt{trained}"))
  items = (f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for value, name in keys)
  return f'<dl class="keys">{"".join(items)}</dl>'


def _section(section: Section, first: int) -> str:
  plots = (
    f'<figure><figcaption>{_text(title)}</figcaption><div class="plot" id="plot-{first + i}" role="img" '
    f'aria-label="{_text(title)}" style="min-height: {figure.layout.height}px"></div></figure>'
    for i, (title, figure) in enumerate(section.figures.items())
  )
  parts = [f"<h2>{_text(section.title)}</h2>"]
  if section.caption:
    parts.append(_paragraph(section.caption, "caption"))
  if section.figures:
    parts.append(f'<div class="figures">{"".join(plots)}</div>')
  if section.note:
    parts.append(_paragraph(section.note, "note"))
  return f"<section>{''.join(parts)}</section>"


def _summary(found: Results) -> str:
  bodies = (_table(one) for one in table.tables(found.summary, found.optimizer_steps))
  return f'<section><h2>Summary</h2><div class="tables">{"".join(bodies)}</div></section>'


def _table(one: table.Table) -> str:
  head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in one.header)
  head = f"<thead><tr>{head}</tr></thead>" if head else ""
  rows = (
    f'<tr><th scope="row">{_text(name)}</th>{"".join(f"<td>{_text(cell)}</td>" for cell in cells)}</tr>'
    for name, *cells in one.rows
  )
  return f"<table><caption>{_text(one.title)}</caption>{head}<tbody>{''.join(rows)}</tbody></table>"


def _origin(experiment: Experiment, command: str) -> str:
  config = json.dumps(experiment.values, indent=2, sort_keys=True)
  versions = {"Python": platform.python_version()}
  for name in _LIBRARIES:
    try:
      versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
      continue
  libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
  return (
    f"<section><h2>How this page was made</h2><pre>{_text(command)}</pre>"
    f"<details><summary>Resolved configuration ({workdir.CONFIG})</summary><pre>{_text(config)}</pre></details>"
    f"{_paragraph(libraries, 'caption')}</section>"
  )


def _paragraph(text: str, kind: str = "") -> str:
  attribute = f' class="{kind}"' if kind else ""
  return f"<p{attribute}>{_text(text)}</p>"


def _text(value: str) -> str:
  return html.escape(value)
