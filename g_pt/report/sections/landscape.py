"""Many samples for one start and prompt: the landscape between them, and how many basins they lie in."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
import numpy as np
import plotly.graph_objects as go

from g_pt import words
from g_pt.report import marks
from g_pt.report.base import Key, Section, Table, View
from g_pt.report.results import Evaluated
from g_pt.tasks.base import Metric

_SCALE = "Cividis"  # told apart with any colour vision; dark is its low end
_SPREAD = 3.0  # from the best to the worst, beyond which colours are on a logarithmic scale
_BINS = 24
_HEIGHT = marks.HEIGHT + 190  # pixels, of figures that stand beside each other
_VALUES = {"values": "customdata"}  # where a file of the numbers finds the metric


class Colours(NamedTuple):
  """What the map's colours say: numbers on a scale, its ends, and its labels."""

  values: Float[np.ndarray, "y x"]
  low: float
  high: float
  ticks: list[float]
  labels: list[str]


def section(found: Evaluated, view: View) -> Section:
  drawn = {
    f"{words.capital(view.metric.label)} in the plane of the samples": over_plane(found, view.metric),
    "How much worse the way between two samples gets": barriers(
      found.array("barrier"), found.summary["largest_barrier"], view.metric
    ),
  }
  return Section("Are there many answers?", _caption(found, view), drawn)


def tables(found: Evaluated, view: View) -> tuple[Table, ...]:
  del view
  summary = found.summary
  rows = (
    ("samples of one start", words.count(summary["samples"])),
    ("share of their variance in the plane", _percent(summary["explained"])),
    ("median barrier between two", words.number(summary["barrier"])),
    ("barrier of one basin, at most", words.number(summary["largest_barrier"])),
    (f"basins that {words.count(summary['compared'])} samples lie in", words.count(summary["basins"])),
  )
  ensemble = {part: summary["ensemble"][part] for part in words.PARTS if part in summary["ensemble"]}
  together = tuple(
    (name, *(words.number(of_part[field]) for of_part in ensemble.values()))
    for name, field in (("single sample, mean", "single"), ("ensemble of samples", "ensemble"))
  )
  header = ("", *(words.PARTS[part] for part in ensemble))
  title = f"Samples, prompt {words.setting(summary['prompt'])}"
  return (Table(title, (), rows), Table("One sample or many", header, together))


def keys(found: Evaluated, view: View) -> tuple[Key, ...]:
  del found, view
  return ()


def over_plane(found: Evaluated, metric: Metric) -> go.Figure:
  """The landscape as colours and lines of equal metric, samples as dots, the start as a star."""
  start, samples = found.array("start_metric"), found.array("metric")
  landscape = found.array("landscape").astype(np.float64)
  colours = scaled(landscape, samples, float(start[0]), metric)
  first, second = (f"{_percent(float(share))} of variance" for share in found.array("explained"))
  drawn = marks.empty(f"first direction ({first})", f"second direction ({second})")
  drawn.add_trace(_map(found.array("x"), found.array("y"), landscape, colours, metric))
  dot = {"color": marks.GPT, "size": 8, "line": {"color": "white", "width": 1.2}}
  drawn.add_trace(_places(found.array("sample_at"), samples, "samples", dot))
  star = {"color": "white", "symbol": "star", "size": 17, "line": {"color": "black", "width": 1.2}}
  drawn.add_trace(_places(found.array("start_at"), start, "start", star))
  drawn.update_xaxes(constrain="domain", showgrid=False)
  drawn.update_yaxes(constrain="domain", showgrid=False, scaleanchor="x")
  return drawn.update_layout(hovermode="closest", height=_HEIGHT, margin={"t": 90})


def scaled(
  landscape: Float[np.ndarray, "y x"], samples: Float[np.ndarray, "sample"], start: float, metric: Metric
) -> Colours:
  """Logarithmic where the worst is many times the best, and cut off a little beyond the start.

  What is worse than the start would take the colours that tell basins apart.
  """
  values = landscape[np.isfinite(landscape)]
  best = float(max(values.max(), samples.max()) if metric.higher_is_better else min(values.min(), samples.min()))
  worst = float(values.min() if metric.higher_is_better else values.max())
  sign = 1.0 if metric.higher_is_better else -1.0
  # A quarter of the way from the best to the start beyond it, but no further than the landscape goes.
  cut = start - sign * 0.25 * abs(start - best)
  worst = max(worst, cut) if metric.higher_is_better else min(worst, cut)
  low, high = sorted((best, worst))
  high = high if high > low else low + 1.0
  positive = values[values > 0]
  if metric.higher_is_better or not positive.size or high <= _SPREAD * max(low, 0):
    ticks = [float(tick) for tick in np.linspace(low, high, 5)]
    return Colours(np.clip(landscape, low, high), low, high, ticks, [words.number(tick) for tick in ticks])
  # An error may be 0: as dark as the smallest one that is not.
  low = max(low, float(positive.min()))
  ticks = marks.ticks(low, high)
  places, (low, high) = np.log10(ticks).tolist(), np.log10([low, high]).tolist()
  return Colours(np.clip(np.log10(np.maximum(landscape, 10**low)), low, high), low, high, places, _plain(ticks))


def barriers(barrier: Float[np.ndarray, "sample sample"], threshold: float, metric: Metric) -> go.Figure:
  """How often which barrier stands between two samples, and the highest that two of one basin may have."""
  pairs = barrier[np.triu_indices(len(barrier), 1)]
  pairs = pairs[np.isfinite(pairs)]
  count, edge = np.histogram(pairs, bins=_BINS, range=(0.0, max(float(pairs.max(initial=0.0)), 1.25 * threshold)))
  drawn = marks.empty(f"barrier, in {metric.label}", "pairs of samples")
  text = [f"{words.number(float(low))} to {words.number(float(high))}" for low, high in zip(edge[:-1], edge[1:])]
  hover = "%{customdata}: %{y:,} pairs<extra></extra>"
  bars = {"marker": {"color": marks.GPT, "line": {"width": 0}}, "hovertemplate": hover, "showlegend": False}
  middle = (edge[:-1] + edge[1:]) / 2
  drawn.add_trace(go.Bar(x=middle, y=count, width=np.diff(edge), customdata=text, name="pairs", **bars))
  if count.max() <= 10:
    drawn.update_yaxes(dtick=1)  # there are no halves of a pair
  line = {"color": marks.NEUTRAL, "dash": "dash", "width": 1.5}
  drawn.add_vline(x=threshold, line=line, annotation_text="one basin: left of here", annotation_position="top right")
  return drawn.update_layout(bargap=0.04, hovermode="closest", height=_HEIGHT)


def _places(at: Float[np.ndarray, "net 2"], metric: Float[np.ndarray, "net"], name: str, marker: dict) -> go.Scatter:
  """Networks as marks that tell their own metric under the pointer, and in a file of the numbers."""
  hover = f"{name.removesuffix('s')}: %{{customdata:.3g}}<extra></extra>"
  place = {"x": at[:, 0], "y": at[:, 1], "customdata": metric, "meta": _VALUES}
  return go.Scatter(name=name, mode="markers", marker=marker, hovertemplate=hover, **place)


def _map(
  x: Float[np.ndarray, "x"],
  y: Float[np.ndarray, "y"],
  landscape: Float[np.ndarray, "y x"],
  colours: Colours,
  metric: Metric,
) -> go.Contour:
  """The metric itself is under the pointer, and what a file of the numbers holds."""
  bar = {"title": {"text": metric.label, "side": "top"}, "tickvals": colours.ticks, "ticktext": colours.labels}
  # Above the map, so that a narrow page leaves it its width.
  bar |= {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom", "thickness": 12, "len": 1}
  step = (colours.high - colours.low) / 14
  return go.Contour(
    x=x,
    y=y,
    z=colours.values,
    customdata=landscape.astype(np.float32),
    meta=_VALUES,
    name="landscape",
    hovertemplate="landscape: %{customdata:.3g}<extra></extra>",
    colorscale=_SCALE,
    reversescale=metric.higher_is_better,  # dark is good
    zmin=colours.low,
    zmax=colours.high,
    colorbar=bar,
    contours={"coloring": "heatmap", "start": colours.low + step, "end": colours.high - step / 2, "size": step},
    line={"color": "rgba(255, 255, 255, 0.45)", "width": 0.8},
  )


def _caption(found: Evaluated, view: View) -> str:
  summary = found.summary
  return (
    f"One initial network, asked {words.count(summary['samples'])} times for {words.setting(summary['prompt'])}: each "
    "dot is a network that G.pt sampled, the star is where all of them began. The map is a flat cut through the space "
    f"of all weights, laid where the samples differ most ({_percent(summary['explained'])} of their variance lies in "
    "it); its colours are the metric of the networks at each place of the cut, dark is good, and white lines join "
    "equal values. Samples lie above and below the cut, so that a dot may be better than the colour under it. "
    "A barrier is how much worse the straight way between two samples gets than its ends, hidden units matched first: "
    f"where it stays under {words.number(summary['largest_barrier'])} (5 % of what the update gains), two samples "
    f"count as one basin, and {words.count(summary['compared'])} samples lie in "
    f"{words.plural(summary['basins'], 'basin')}. An ensemble averages what 16 samples predict: it gains only if they "
    "are really different networks."
  )


def _plain(ticks: list[float]) -> list[str]:
  return [f"{tick:g}" for tick in ticks]


def _percent(share: float) -> str:
  return f"{100 * share:.0f} %"
