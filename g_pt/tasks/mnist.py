"""MLP 784-10-10 on MNIST, and on any other image-classification set of TFDS."""

from __future__ import annotations

import functools

from g_pt.tasks import classifiers, datasets, networks
from g_pt.tasks.base import Metric, Task
from g_pt.tasks.supervised import SupervisedRecipe

_HIDDEN = 10


@functools.cache
def task(name: str, mean: tuple[float, ...] | None = None, std: tuple[float, ...] | None = None) -> Task:
  """Classifying TFDS's set `name` by one hidden layer of ten units and the recipe of Peebles et al. 2022.

  `mean` and `std` are those of `datasets.tfds_images`. Raises UserError where
  TFDS has no such set, or one of another kind.
  """
  shape, classes = ((28, 28, 1), 10) if name == "mnist" else datasets.tfds_image_shape(name)
  widths = (_HIDDEN, classes)
  return classifiers.task(
    name=name,
    classifier=networks.MLP(widths),
    hidden_layers=networks.mlp_hidden_layers(widths),
    input_shape=shape,
    load=functools.partial(datasets.tfds_images, name, mean=mean, std=std),
    metrics={
      "test_loss": Metric(label="test loss (nats)", higher_is_better=False, best_prompt=0.0, own_share=0.9),
      "test_error": Metric(label="test error (%)", higher_is_better=False, best_prompt=5.0, own_share=0.9),
    },
    recipe=SupervisedRecipe(),
  )


TASK = task("mnist", mean=(0.1307,), std=(0.3081,))
