"""CNN of two convolutions, 5,370 parameters, on CIFAR-10: random crops and flips, 50 epochs."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from g_pt.tasks import classifiers, datasets, networks
from g_pt.tasks.base import Metric
from g_pt.tasks.supervised import SupervisedRecipe

PADDING = 4  # black pixels on each side of an image before it is cut to its size again
_CHANNELS = (16, 32)


def augmented(images: Num[Array, "example row column channel"], key: Array) -> Num[Array, "example row column channel"]:
  """Each image cut at random from its padded self, every other one mirrored."""
  count, rows, columns, _ = images.shape
  corner_key, mirror_key = jax.random.split(key)
  corner = jax.random.randint(corner_key, (count, 2, 1), 0, 2 * PADDING + 1)
  mirrored = jax.random.bernoulli(mirror_key, shape=(count, 1))
  row = corner[:, 0] + jnp.arange(rows)[None]
  column = jnp.arange(columns)[None]
  column = corner[:, 1] + jnp.where(mirrored, columns - 1 - column, column)
  sides = (PADDING, PADDING)
  padded = jnp.pad(images, ((0, 0), sides, sides, (0, 0)))
  return padded[jnp.arange(count)[:, None, None], row[:, :, None], column[:, None]]


TASK = classifiers.task(
  name="cifar10",
  classifier=networks.CNN(_CHANNELS, 10),
  hidden_layers=networks.cnn_hidden_layers(_CHANNELS),
  input_shape=(32, 32, 3),
  load=functools.partial(datasets.tfds_images, "cifar10"),
  metrics={
    "test_loss": Metric(label="test loss (nats)", higher_is_better=False, best_prompt=1.2, recursive_prompt=1.4),
    "test_error": Metric(label="test error (%)", higher_is_better=False, best_prompt=35.0, recursive_prompt=45.0),
  },
  recipe=SupervisedRecipe(epochs=50),
  augment=augmented,
)
