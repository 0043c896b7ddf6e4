"""A walk through the noise that a sample begins from: a film of the networks that come of it."""

from __future__ import annotations

import math

from jaxtyping import Float, UInt8
import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import film, marks
from g_pt.report.base import Film, Key, Section, Table, View
from g_pt.report.results import Evaluated
from g_pt.tasks.base import SHARED_PARTS

_SIDE = 480  # pixels that a frame fits into
_GAP = 4  # pixels between tiles


def section(found: Evaluated, view: View) -> Section:
  summary, metric = found.summary, {part: found.array(f"metric.{part}") for part in SHARED_PARTS}
  count, tiles = summary["frames"], found.array("tiles").astype(np.float32)
  texts = [
    f"{i + 1} of {count}    {view.metric.label}: {words.number(float(value))}"
    for i, value in enumerate(metric["recorded"])
  ]
  frames = film.with_text(grid(coloured(tiles)), texts)
  title = words.capital(summary["caption"].partition(":")[0].partition(",")[0])
  told = f"{title} of {count} networks, one after the other, that change smoothly and come back to the first."
  caption = (
    f"One start, one prompt ({words.setting(summary['prompt'])}), {count} updates that differ in nothing but the noise "
    "they begin from; the noise goes from one draw to the next in small steps, and back to the first. Each frame is a "
    f"whole network. It shows: {summary['caption']}. {_colours(tiles)} "
    "Where the picture changes while the metric below it stays about as good, many different networks do what was "
    "asked for, and noise chooses among them."
  )
  drawn = {f"{words.capital(view.metric.label)} of each frame": figure(metric, view)}
  return Section("A walk through networks", caption, drawn, film=Film(frames, title, told))


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  summary = found.summary
  rows = (
    ("frames", words.count(summary["frames"])),
    *((f"{view.metric.label}, {name}", words.number(summary[name])) for name in ("lowest", "mean", "highest")),
  )
  return (Table(f"Walk, prompt {words.setting(summary['prompt'])}", (), rows),)


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  del found, view
  return ()


def figure(metric: dict[str, Float[np.ndarray, "frame"]], view: View) -> go.Figure:
  """The metric over the frames of the film, for each part of the data."""
  drawn = marks.empty("frame of the film", view.metric.label)
  for (part, values), colour, dash in zip(metric.items(), (marks.GPT, marks.TRAINING_RUNS), ("solid", "dash")):
    frame = np.arange(1, len(values) + 1)
    line = {"color": colour, "width": 2.5, "dash": dash}
    drawn.add_trace(marks.line(frame, values, words.PARTS[part], line))
  return marks.plain_steps(drawn).update_xaxes(unifiedhovertitle={"text": "frame %{x:d}"})


def coloured(tiles: Float[np.ndarray, "frame tile row column channel"]) -> UInt8[np.ndarray, "frame tile row column 3"]:
  """Blue, white and orange for one channel, RGB for three; each tile on a scale of its own, the same in all frames."""
  if _are_shares(tiles):
    return marks.diverging(2 * tiles[..., 0] - 1)
  largest = np.abs(tiles).max(axis=(0, 2, 3, 4), keepdims=True)
  share = tiles / np.where(largest > 0, largest, 1)
  if share.shape[-1] == 1:
    return marks.diverging(share[..., 0])
  return np.round(127.5 * (1 + share)).astype(np.uint8)


def grid(tiles: UInt8[np.ndarray, "frame tile row column 3"]) -> UInt8[np.ndarray, "frame y x 3"]:
  """Tiles side by side, as large as fits with whole pixels; what is left over is ground."""
  frames, count, rows, columns, _ = tiles.shape

  def scale(across):
    return min(_SIDE // (across * columns), _SIDE // (math.ceil(count / across) * rows))

  # The largest tiles; of several ways the one that leaves the fewest places free, of these the widest.
  across = max(range(1, count + 1), key=lambda across: (scale(across), -(-count % across), across))
  times, down = max(scale(across), 1), math.ceil(count / across)
  shown = tiles.repeat(times, axis=2).repeat(times, axis=3)
  height, width = rows * times + _GAP, columns * times + _GAP
  placed = np.empty((frames, down * across, height, width, 3), np.uint8)
  placed[:] = film.GROUND
  placed[:, :count, : height - _GAP, : width - _GAP] = shown
  placed = placed.reshape(frames, down, across, height, width, 3).transpose(0, 1, 3, 2, 4, 5)
  return placed.reshape(frames, down * height, across * width, 3)[:, :-_GAP, :-_GAP]


def _are_shares(tiles: Float[np.ndarray, "frame tile row column channel"]) -> bool:
  """Whether these are probabilities, whose range is known; weights lie on both sides of zero."""
  return tiles.shape[-1] == 1 and bool(tiles.min() >= 0 and tiles.max() <= 1)


def _colours(tiles: Float[np.ndarray, "frame tile row column channel"]) -> str:
  """What the colours mean."""
  if _are_shares(tiles):
    return "Blue is 0, white one half, orange 1."
  scale = "each tile on a scale of its own that stays the same throughout"
  if tiles.shape[-1] == 1:
    return f"Blue weights are negative, white ones 0, orange ones positive, {scale}."
  return f"Colours are the weights of red, green and blue, grey is 0, {scale}."
