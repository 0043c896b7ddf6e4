"""What figures are drawn with: colours, an empty figure, lines and bands, text, axes of steps, animations.

Neutral colours are the page's own and follow its light or dark theme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import Float, Int, UInt8
import numpy as np
import plotly.graph_objects as go

from g_pt.tasks.base import Metric

# After Okabe and Ito: told apart with any colour vision, with a contrast of 3 on white and on near-black.
TRAINING_RUNS = "#1F78B4"
GPT = "#D55E00"
NEUTRAL = "#868C95"
HEIGHT = 430  # pixels
SLIDER = 100  # pixels that a slider takes below the axes
_DIVERGING = ("#0B4F8A", "#62A8D8", "#FFFFFF", "#F5A623", "#A84300")
_LEVELS = 60  # of colours to each side, few enough for a small film
_STEP_ZERO = 0.4  # where step 0 stands on a logarithmic axis; rounds to 0


def empty(x_title: str, y_title: str) -> go.Figure:
  """A figure with titled axes and a legend below."""
  layout = {
    "template": {},
    "height": HEIGHT,
    "margin": {"l": 64, "r": 16, "t": 30, "b": 96},
    "hovermode": "x unified",
    "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
    "xaxis": {"title": {"text": x_title, "standoff": 10}},
    "yaxis": {"title": {"text": y_title, "standoff": 10}},
  }
  return go.Figure(layout=layout)


def line(x, y, name: str, style: dict, mode: str = "lines", **rest) -> go.Scatter:
  """A line whose points tell their value under the pointer."""
  rest.setdefault("hovertemplate", "%{y:.3g}")
  return go.Scatter(x=x, y=y, name=name, line=style, mode=mode, **rest)


def band(x, low, high, colour: str, name: str, alpha: float, legend: bool = True) -> go.Scatter:
  """The area between two lines, where both are finite."""
  sound = np.isfinite(low) & np.isfinite(high)
  x, low, high = x[sound], low[sound], high[sound]
  return go.Scatter(
    x=np.concatenate([x, x[::-1]]),
    y=np.concatenate([high, low[::-1]]),
    name=name,
    mode="lines",
    fill="toself",
    line={"width": 0},
    fillcolor=faded(colour, alpha),
    hoverinfo="skip",
    showlegend=legend,
    legendgroup=name,
  )


def middle(values: Float[np.ndarray, "net ..."]) -> Float[np.ndarray, "2 ..."]:
  """The ends of a band that holds the middle 80 % of networks."""
  return np.quantile(values, [0.1, 0.9], axis=0)


def point(x: float, y: float, marker: dict, group: str, **rest) -> go.Scatter:
  """A mark that comes and goes with the lines of its group."""
  return go.Scatter(
    x=[x], y=[y], mode="markers", marker=marker, showlegend=False, legendgroup=group, hoverinfo="skip", **rest
  )


def bundle(
  x: Float[np.ndarray, "line point"], y: Float[np.ndarray, "line point"], name: str, colour: str
) -> go.Scatter:
  """Many thin lines as one trace, which plotly draws and hides at once."""
  x, y = (np.pad(part, ((0, 0), (0, 1)), constant_values=np.nan).ravel() for part in (np.asarray(x, np.float32), y))
  line = {"color": faded(colour, 0.28), "width": 1}
  return go.Scatter(x=x, y=y, name=name, mode="lines", line=line, hoverinfo="skip")


def label(figure: go.Figure, x: float, y: float, text: str, colour: str, away: int, metric: Metric) -> None:
  """Text `away` pixels from (x, y) towards worse values, where the curves leave room; x on a logarithmic axis."""
  figure.add_annotation(
    x=float(np.log10(x)),
    y=y,
    text=text,
    ax=26,
    ay=away if metric.higher_is_better else -away,
    xanchor="left",
    font={"color": colour},
    arrowcolor=colour,
    arrowwidth=1,
    arrowhead=0,
    standoff=5,
  )


def level(figure: go.Figure, y: float, text: str, position: str) -> None:
  """A dashed line across the figure, with its text at one end."""
  style = {"color": NEUTRAL, "dash": "dash", "width": 1.5}
  figure.add_hline(y=y, line=style, annotation_text=text, annotation_position=position)


def on_log(step: Int[np.ndarray, "point"] | Float[np.ndarray, "point"]) -> Float[np.ndarray, "point"]:
  """Where steps stand on the axis of `log_steps`; those between 0 and 1 no further left than 0."""
  return np.maximum(step, _STEP_ZERO).astype(float)


def log_steps(figure: go.Figure, last: int) -> go.Figure:
  """A logarithmic axis on which step 0 has a place."""
  shown = ticks(1.0, float(last), (1, 2, 5) if last <= 1000 else (1, 3))
  span = [float(np.log10(_STEP_ZERO * 0.85)), float(np.log10(max(last, 2) * 1.12))]
  return figure.update_xaxes(
    type="log",
    range=span,
    tickvals=[_STEP_ZERO, *shown],
    ticktext=["0", *(f"{tick:,.0f}" for tick in shown)],
    unifiedhovertitle={"text": "step %{x:,d}"},
  )


def ticks(low: float, high: float, sizes: tuple[int, ...] = (1, 2, 5)) -> list[float]:
  """These sizes times the powers of ten."""
  round_numbers = (size * 10.0**power for power in range(-9, 10) for size in sizes)
  return [number for number in round_numbers if low <= number <= high]


def plain_steps(figure: go.Figure) -> go.Figure:
  """A linear axis of steps."""
  return figure.update_xaxes(tickformat=",d", unifiedhovertitle={"text": "step %{x:,d}"})


def faded(colour: str, alpha: float) -> str:
  """A colour of six hexadecimal digits, seen through."""
  red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
  return f"rgba({red}, {green}, {blue}, {alpha})"


def animated(
  figure: go.Figure, frames: Mapping[str, list[go.Scatter]], traces: list[int], texts: Sequence[str], noun: str
) -> go.Figure:
  """Leads a figure through frames with a slider, beginning at the last.

  Each frame, by its name on the slider, changes the traces of these numbers and
  the text in the figure's corner; `noun` says what the names are.
  """
  how = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
  figure.frames = [
    go.Frame(name=name, data=data, traces=traces, layout={"annotations": [_corner(text)]})
    for (name, data), text in zip(frames.items(), texts)
  ]
  for number, part in zip(traces, list(frames.values())[-1]):
    figure.data[number].update({field: part[field] for field in ("x", "y") if part[field] is not None})
  slider = {
    "active": len(frames) - 1,
    "steps": [{"label": name, "method": "animate", "args": [[name], how]} for name in frames],
    "currentvalue": {"prefix": f"{noun} ", "xanchor": "left", "font": {"size": 14}},
    "pad": {"t": 52, "b": 8, "l": 4, "r": 4},
    "len": 1,
    "x": 0,
  }
  # Below the axis's title stands the slider, below it the legend.
  margin = {"b": figure.layout.margin.b + SLIDER}
  return figure.update_layout(sliders=[slider], annotations=[_corner(texts[-1])], margin=margin)


def _corner(text: str) -> dict:
  """An annotation at the top left inside the axes."""
  place = {"xref": "paper", "yref": "paper", "x": 0.015, "y": 0.985, "xanchor": "left", "yanchor": "top"}
  return {"text": text, "showarrow": False, "align": "left", **place}


def diverging(share: Float[np.ndarray, "*axis"]) -> UInt8[np.ndarray, "*axis 3"]:
  """Blue at -1, white at 0, orange at 1: told apart with any colour vision."""
  at = np.round(np.clip(share, -1, 1) * _LEVELS) / _LEVELS
  stops = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in _DIVERGING])
  channels = [np.interp(at, np.linspace(-1, 1, len(stops)), channel) for channel in stops.T]
  return np.round(np.stack(channels, axis=-1)).astype(np.uint8)
