"""Prompting again and again, from many kinds of init."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import axes, marks, published
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated
from g_pt.tasks.base import SHARED_PARTS, Metric

_OWN = "own"
_BEYOND = 0.4  # how much of the axis is for what is worse than the task's own init
_JUDGED = 3  # updates after which the worst init is a key number


def section(found: Evaluated, view: View) -> Section:
  values = {init: found.array(f"{init}.recorded") for init in words.known(found.summary["inits"], words.INITS)}
  title = f"{words.capital(view.metric.label)} over updates"
  drawn = {title: figure(values, found.summary["prompt"], view.metric)}
  return Section("Updated again and again, from other inits too", _caption(found, view), drawn, wide=True)


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  inits, updates = found.summary["inits"], found.summary["updates"]
  theirs = published.of(published.RECURSION, view)
  made = []
  for part in SHARED_PARTS:
    header = ("", "start", *(f"after {count}" for count in updates))
    rows = [
      (label, *(words.number(value) for value in (inits[init][part]["start"], *inits[init][part]["after"])))
      for init, label in words.known(inits, words.INITS).items()
    ]
    if theirs and part == "recorded":
      header = (*header, f"published ({published.GPT})")
      rows = [(*row, theirs.get(init, "-")) for row, init in zip(rows, words.known(inits, words.INITS))]
    made.append(Table(words.on_part("Updates from other inits", part), header, tuple(rows)))
  return tuple(made)


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  """The worst init once it had time to recover; a mean that is not finite is worse than all others."""
  inits, updates = found.summary["inits"], found.summary["updates"]
  if _JUDGED not in updates or len(inits) < 2:
    return ()
  after = {init: told["recorded"]["after"][updates.index(_JUDGED)] for init, told in inits.items()}
  worst = min(after, key=lambda init: -np.inf if after[init] is None else view.metric.gain(after[init]))
  name = words.known(inits, words.INITS)[worst]
  label = f"{view.metric.label} after {_JUDGED} updates from the worst of {len(inits)} inits ({name})"
  return (Key("diverged" if after[worst] is None else words.number(after[worst]), label),)


def figure(values: Mapping[str, Float[np.ndarray, "net update"]], prompt: float, metric: Metric) -> go.Figure:
  """The mean metric over updates, a line an init; a band where the task's own networks are."""
  drawn = marks.empty("updates", metric.label)
  labels = words.known(values, words.INITS)
  updates = np.arange(max(of_init.shape[1] for of_init in values.values()))
  others = [init for init in labels if init != _OWN]
  for init, (colour, dash, symbol) in zip(others, axes.styles(len(others))):
    line, marker = {"color": colour, "dash": dash, "width": 2}, {"symbol": symbol, "size": 6}
    drawn.add_trace(
      marks.line(updates, values[init].mean(axis=0), labels[init], line, mode="lines+markers", marker=marker)
    )
  if _OWN in labels:
    low, high = marks.middle(values[_OWN])
    drawn.add_trace(marks.band(updates, low, high, marks.GPT, labels[_OWN], alpha=0.2, legend=False))
    line = {"color": marks.GPT, "width": 3}
    mean = values[_OWN].mean(axis=0)
    drawn.add_trace(
      marks.line(updates, mean, labels[_OWN], line, mode="lines+markers", legendgroup=labels[_OWN], legendrank=1)
    )
  start = values[_OWN if _OWN in labels else others[0]][:, 0].mean()
  shown = [of_init.mean(axis=0) for of_init in values.values()]
  # By ratio, no axis gets to 0.
  shown += [np.asarray([prompt])] if prompt else []
  axes.fit(drawn, shown, float(start), metric, _BEYOND)
  if prompt:
    line = {"color": marks.NEUTRAL, "dash": "dash", "width": 1.5}
    across = np.full(updates.shape, prompt)
    drawn.add_trace(marks.line(updates, across, f"the prompt, {words.setting(prompt)}", line, hoverinfo="skip"))
  drawn.update_xaxes(dtick=1, unifiedhovertitle={"text": "after %{x} updates"})
  return drawn.update_layout(height=marks.HEIGHT + 70, legend={"itemwidth": 40})


def _caption(found: Evaluated, view: View) -> str:
  summary = found.summary
  caption = (
    f"{summary['networks']} fresh networks are prompted for {words.setting(summary['prompt'])}; the updated network is "
    "prompted again, and so on. G.pt has learned from networks that start by the task's own init; the others are drawn "
    "by inits that it has never seen, or scaled. A start that is longer than all it has learned from is shortened to "
    "the longest of them first. Lines are means on recorded data, the band the middle 80 % of the task's own; a "
    "line that begins or ends far off leaves the axis, and the table has its numbers."
  )
  if published.of(published.RECURSION, view):
    caption += f" Published figures ({published.GPT}) are of the whole test set."
  return caption
