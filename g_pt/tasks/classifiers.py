"""Image classifiers: how they are judged, and the Task of one of g_pt.tasks.networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from g_pt.errors import ConfigError
from g_pt.parameters import HiddenLayer, Parameters
from g_pt.tasks import stacked
from g_pt.tasks.base import PARTS, Decisions, Measurement, Metric, Network, Numbers, Picture, Stacked, Task, Training
from g_pt.tasks.datasets import Examples, Images, Judged
from g_pt.tasks.networks import Classifier
from g_pt.tasks.supervised import OPTIMIZERS, Objective, SupervisedRecipe, train_runs


def part(data: Images, recipe: SupervisedRecipe, name: str) -> Judged:
  """`Measurement.part` of g_pt.tasks.base; beside the recorded images, those of the training set."""
  match name:
    case "recorded":
      test = _first(data.recorded, recipe.test_examples, "test_examples")
      splits = {"test": test, "train": _first(data.train, recipe.train_examples, "train_examples")}
    case "final":
      splits = {"test": data.final}
    case "whole":
      splits = {"test": jax.tree.map(lambda *halves: jnp.concatenate(halves), data.recorded, data.final)}
    case _:
      raise ValueError(f"unknown part {name!r}; there is: {', '.join(PARTS)}")
  return Judged(splits, data.mean, data.std)


def seen(data: Images) -> Images:
  """`Training.seen` of g_pt.tasks.base: the training images."""
  none = jax.tree.map(lambda x: x[:0], data.recorded)
  return data._replace(recorded=none, final=none)


def _first(examples: Examples, count: int, field: str) -> Examples:
  there = examples.labels.shape[0]
  if count > there:
    raise ConfigError(f"corpus.recipe.{field}: {count} is more than the {there} that there are")
  return jax.tree.map(lambda x: x[: count or there], examples)


def _numbers(logits: Callable[[Array], Array], judged: Judged, at_once: int) -> Numbers:
  """Loss (nats) and error (percent) of each split: `test_loss`, `test_error`, ...; `logits` is a function of images."""

  def totals(examples: Examples):
    loss, wrong = stacked.loss_and_wrong(logits(judged.inputs(examples.images)), examples.labels)
    return {"loss": jnp.sum(loss, axis=0), "error": 100.0 * jnp.sum(wrong, axis=0)}

  numbers = {}
  for split, examples in judged.splits.items():
    for kind, total in stacked.totals_in_parts(totals, examples, at_once).items():
      numbers[f"{split}_{kind}"] = total / examples.labels.shape[0]
  return numbers


def evaluate(classifier: Classifier, networks: Stacked, judged: Judged) -> Numbers:
  """`Measurement.evaluate` of g_pt.tasks.base."""
  return _numbers(functools.partial(classifier.logits, networks), judged, classifier.examples_at_once)


def ensemble(classifier: Classifier, networks: Stacked, judged: Judged) -> dict[str, Float[Array, ""]]:
  """`Measurement.ensemble` of g_pt.tasks.base: one network whose probabilities are the mean of theirs."""

  def logits(images):
    each = jax.nn.log_softmax(classifier.logits(networks, images), axis=1)
    return jax.nn.logsumexp(each, axis=2, keepdims=True) - math.log(each.shape[2])

  return {name: value[0] for name, value in _numbers(logits, judged, classifier.examples_at_once).items()}


def decisions(classifier: Classifier, networks: Stacked, judged: Judged) -> Decisions:
  """`Measurement.decisions` of g_pt.tasks.base: the class of every test image."""

  def chosen(images):
    return jnp.argmax(classifier.logits(networks, judged.inputs(images)), axis=1)

  test = judged.splits["test"]
  return Decisions(stacked.map_in_parts(chosen, test.images, classifier.examples_at_once), jnp.asarray(test.labels))


def first_layer_picture(input_shape: tuple[int, ...], layer: str) -> Picture:
  """The weights from the input to each unit of the first layer, as images."""
  pixels = math.prod(input_shape)
  side = math.isqrt(pixels)
  square = (side, side, 1) if side * side == pixels else (1, pixels, 1)  # of inputs that are no images

  def tiles(parameters: Parameters) -> Float[Array, "tile row column channel"]:
    kernel = parameters[layer]["kernel"]
    shape = kernel.shape[:-1] if kernel.ndim == 4 else input_shape if len(input_shape) == 3 else square
    return jnp.moveaxis(kernel.reshape(*shape, kernel.shape[-1]), -1, 0)

  return Picture(tiles, "first-layer filters, one a hidden unit")


def task(
  *,
  name: str,
  classifier: Classifier,
  hidden_layers: tuple[HiddenLayer, ...],
  input_shape: tuple[int, ...],
  load: Callable[[str | None], Any],
  metrics: Mapping[str, Metric],
  recipe: SupervisedRecipe,
  augment: Callable[[Array, Array], Array] | None = None,
  draw: Callable[[Any, Array], Images] | None = None,
) -> Task:
  """A Task for one classifier: records test and train loss (nats) and error (percent). With `draw`, of a family.

  `augment` changes stored images by a key, in training alone.
  """

  def init(key: Array) -> Parameters:
    return classifier.init(key, jnp.zeros((1, *input_shape)))["params"]

  def examples(data: Images, key: Array, count: int) -> tuple[Float[Array, "example ..."], Int[Array, "example"]]:
    index = jax.random.randint(key, (count,), 0, data.train.labels.shape[0])
    batch = objective.minibatch(data, index, key, augment=False)
    return jnp.asarray(batch.images), jnp.asarray(batch.labels)

  picture = first_layer_picture(input_shape, hidden_layers[0].axes[0][0].partition("/")[0])
  network = Network(init=init, apply=classifier.logits, picture=picture, hidden_layers=hidden_layers)
  objective = Objective(network, classifier.loss, augment)
  return Task(
    name=name,
    load=load,
    network=network,
    measurement=Measurement(
      metrics=metrics,
      part=part,
      evaluate=functools.partial(evaluate, classifier),
      ensemble=functools.partial(ensemble, classifier),
      decisions=functools.partial(decisions, classifier),
    ),
    training=Training(
      recipe=recipe,
      run=functools.partial(train_runs, objective),
      optimizers=OPTIMIZERS,
      examples=examples,
      seen=seen if draw is None else lambda sources: sources,
    ),
    draw=draw,
  )
