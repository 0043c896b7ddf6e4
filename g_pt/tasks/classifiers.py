"""Image classifiers: what they compute, how they start, how they are judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import math
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from g_pt.parameters import HiddenLayer, Parameters
from g_pt.tasks.base import Metric, Task
from g_pt.tasks.datasets import Examples, Images
from g_pt.tasks.supervised import OPTIMIZERS, SupervisedRecipe, train_group


def fan_in_uniform(fan_in: int) -> Callable[..., Array]:
  """Uniform in +-1/sqrt(fan_in): PyTorch's default for weights and biases."""
  bound = 1 / math.sqrt(fan_in)

  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return init


class MLP(nn.Module):
  """Fully connected layers with ReLU between them; images are flattened."""

  widths: Sequence[int]  # of every layer but the input, the classes last

  @nn.compact
  def __call__(self, images: Float[Array, "example ..."]) -> Float[Array, "example class"]:
    x = images.reshape(images.shape[0], -1)
    for i, width in enumerate(self.widths):
      init = fan_in_uniform(x.shape[-1])
      x = nn.Dense(width, kernel_init=init, bias_init=init, name=f"layer_{i}")(x)
      if i < len(self.widths) - 1:
        x = nn.relu(x)
    return x


def mlp_hidden_layers(widths: Sequence[int]) -> tuple[HiddenLayer, ...]:
  """The hidden layers of an MLP whose layers are named layer_0, layer_1, ..."""
  return tuple(
    HiddenLayer(units, ((f"layer_{i}/kernel", 1), (f"layer_{i}/bias", 0), (f"layer_{i + 1}/kernel", 0)))
    for i, units in enumerate(widths[:-1])
  )


def cross_entropy(logits: Float[Array, "example class"], labels: Int[Array, "example"]) -> Float[Array, ""]:
  """Mean over examples, in nats."""
  picked = jnp.sum(jax.nn.log_softmax(logits) * jax.nn.one_hot(labels, logits.shape[-1]), axis=-1)
  return -jnp.mean(picked)


def loss_and_error(
  logits: Float[Array, "example class"], labels: Int[Array, "example"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
  """Cross-entropy (nats) and share of wrong answers (percent).

  Classes lie along the first axis in here: reductions over a short last axis
  use no vector instructions on a CPU, and a corpus is mostly evaluation.
  """
  logits = logits.T
  highest = jnp.max(logits, axis=0)
  log_total = highest + jnp.log(jnp.sum(jnp.exp(logits - highest[None]), axis=0))
  own = jnp.sum(jnp.where(jnp.arange(logits.shape[0])[:, None] == labels[None], logits, 0.0), axis=0)
  # Not `own < highest`: a network that diverged (NaN) is always wrong.
  return jnp.mean(log_total - own), 100 * jnp.mean(~(own >= highest))


def _gather(data: Images, indices: Int[Array, "example"], key: Array) -> Examples:
  del key
  return Examples(data.train.images[indices], data.train.labels[indices])


def classifier(
  name: str,
  network: nn.Module,
  hidden_layers: tuple[HiddenLayer, ...],
  input_shape: tuple[int, ...],
  load: Callable[[str | None], Images],
  metrics: dict[str, Metric],
  recipe: SupervisedRecipe,
  batch: Callable[[Images, Array, Array], Any] = _gather,
) -> Task:
  """A Task for one classifier: records test and train loss (nats) and error (percent)."""

  def init(key: Array) -> Parameters:
    return network.init(key, jnp.zeros((1, *input_shape)))["params"]

  def forward(parameters: Parameters, images: Array) -> Array:
    return network.apply({"params": parameters}, images)

  def loss(parameters: Parameters, batch: Examples) -> Float[Array, ""]:
    return cross_entropy(forward(parameters, batch.images), batch.labels)

  def evaluate(parameters: Parameters, data: Images) -> dict[str, Float[Array, ""]]:
    numbers = {}
    for split, examples in (("test", data.test), ("train", data.train)):
      logits = forward(parameters, examples.images)
      numbers[f"{split}_loss"], numbers[f"{split}_error"] = loss_and_error(logits, examples.labels)
    return numbers

  return Task(name, init, forward, loss, evaluate, metrics, load, batch, recipe, train_group, OPTIMIZERS, hidden_layers)
