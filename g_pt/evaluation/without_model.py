"""What can be had of a corpus without a model: its checkpoints, points between them, their means, their noise.

What a G.pt samples is worth what it adds to these.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float, Int
import numpy as np

from g_pt.evaluation.base import Context, Recorded
from g_pt.parameters import ParameterSpec, matching
from g_pt.tasks.base import SHARED_PARTS

_POINTS = 21  # of a line between two networks


def nearest_checkpoints(
  context: Context, prompted: Float[np.ndarray, "prompt"]
) -> Float[np.ndarray, "prompt parameter"]:
  """Of the training runs' checkpoints the one whose recorded metric is nearest to each prompt."""
  metric = _training_metric(context)
  order = np.argsort(metric, axis=None, kind="stable")
  ranked = metric.ravel()[order]
  after = np.clip(np.searchsorted(ranked, prompted), 1, len(ranked) - 1)
  nearer_before = prompted - ranked[after - 1] < ranked[after] - prompted
  return _read(context, metric.shape, order[np.where(nearer_before, after - 1, after)])


def ranked_checkpoints(context: Context, prompt: float, count: int) -> Float[np.ndarray, "count parameter"]:
  """The nearest to one prompt, the next to it and so on, each of another run as long as there are enough."""
  metric = _training_metric(context)
  away = np.abs(metric - prompt)
  own_best = np.argmin(away, axis=1)
  order = np.argsort(away[np.arange(len(away)), own_best], kind="stable")
  run = order[np.arange(count) % len(order)]
  return _read(context, metric.shape, np.ravel_multi_index((run, own_best[run]), metric.shape))


def _training_metric(context: Context) -> Float[np.ndarray, "run checkpoint"]:
  corpus = context.corpus
  return corpus.read(corpus.metrics[context.gpt.metric_name], context.split.train)


def _read(
  context: Context, shape: tuple[int, ...], place: Int[np.ndarray, "net"]
) -> Float[np.ndarray, "net parameter"]:
  """Checkpoints of training runs by their place in the table of metrics."""
  run, checkpoint = np.unravel_index(place, shape)
  return context.corpus.read_points(context.split.train[run], checkpoint)


def retrieved(
  context: Context, prompted: Float[np.ndarray, "net prompt"]
) -> dict[str, Float[np.ndarray, "net prompt"]]:
  """What the nearest checkpoints are worth, whatever network they are for."""
  distinct, place = np.unique(prompted, return_inverse=True)
  theta = nearest_checkpoints(context, distinct)
  return {part: context.metric(theta, part)[place].reshape(prompted.shape) for part in SHARED_PARTS}


def best_end(context: Context) -> Float[np.ndarray, "parameter"]:
  """The last checkpoint of the training run that ends best."""
  ends = _training_metric(context)[:, -1]
  best = context.split.train[int(np.argmax(context.gpt.metric.gain(ends)))]
  return context.corpus.read(context.corpus.theta, [best], -1)[0]


def interpolated(
  context: Context, starts: Recorded, prompted: Float[np.ndarray, "net prompt"]
) -> dict[str, Float[np.ndarray, "net prompt"]]:
  """Of points between each start and the best end, its units laid upon the start's: the one nearest to each prompt."""
  spec, best = context.gpt.task.spec, best_end(context)
  theta = np.asarray(starts.theta)
  share = np.linspace(0, 1, _POINTS, dtype=np.float32)[None, :, None]
  ends = np.stack([matching.aligned(spec, best, start) for start in theta])
  line = jnp.asarray(theta[:, None] + share * (ends - theta)[:, None])
  metric = {part: context.metric(line, part) for part in SHARED_PARTS}
  chosen = np.argmin(np.abs(metric["recorded"][:, :, None] - prompted[:, None]), axis=1)
  return {part: np.take_along_axis(values, chosen, axis=1) for part, values in metric.items()}


def soups(
  spec: ParameterSpec, theta: Float[np.ndarray, "net parameter"], members: Int[np.ndarray, "soup member"]
) -> Float[np.ndarray, "soup parameter"]:
  """Means of networks, each laid upon the first of its soup (Wortsman et al. 2022, with units matched)."""

  def soup(row):
    first, *others = theta[row]
    return np.mean([first, *(matching.aligned(spec, other, first) for other in others)], axis=0)

  return np.stack([soup(row) for row in members])
