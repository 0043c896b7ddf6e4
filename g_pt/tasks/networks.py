"""The layers of image classifiers, and what they compute for many networks at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import math
from typing import Any, ClassVar

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

from g_pt.parameters import HiddenLayer, Parameters
from g_pt.tasks import population, stacked
from g_pt.tasks.base import Stacked
from g_pt.tasks.datasets import Examples


def fan_in_uniform(fan_in: int) -> Callable[..., Array]:
  """Uniform in +-1/sqrt(fan_in): PyTorch's default for weights and biases."""
  bound = 1 / math.sqrt(fan_in)

  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return init


class Classifier(nn.Module):
  """One network's layers; what they compute for many networks at once may be laid out better than by vmap."""

  examples_at_once: ClassVar[int] = 250  # evaluated together

  @nn.nowrap
  def logits(self, parameters: Stacked, images: Float[Array, "example ..."]) -> Float[Array, "example class run"]:
    """Of many networks on the same images."""
    return population.by_vmap(lambda own: self.apply({"params": own}, images))(parameters)

  @nn.nowrap
  def loss(self, parameters: Stacked, batch: Examples) -> Float[Array, "run"]:
    """Cross-entropy of many networks, in nats."""
    return jnp.mean(stacked.loss_and_wrong(self.logits(parameters, jnp.asarray(batch.images)), batch.labels)[0], axis=0)


class MLP(Classifier):
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

  @nn.nowrap
  def logits(self, parameters: Stacked, images: Float[Array, "example ..."]) -> Float[Array, "example class run"]:
    x = images.reshape(images.shape[0], -1)
    for i in range(len(self.widths)):
      layer = parameters[f"layer_{i}"]
      x = (stacked.dense if i else stacked.shared_dense)(x, layer["kernel"])
      x = stacked.relu_with_bias(x, layer["bias"]) if i < len(self.widths) - 1 else x + layer["bias"][None]
    return x


def mlp_hidden_layers(widths: Sequence[int]) -> tuple[HiddenLayer, ...]:
  """The hidden layers of an MLP whose layers are named layer_0, layer_1, ..."""
  return tuple(
    HiddenLayer(units, ((f"layer_{i}/kernel", 1), (f"layer_{i}/bias", 0), (f"layer_{i + 1}/kernel", 0)))
    for i, units in enumerate(widths[:-1])
  )


def _convolve(x: Float[Array, "example row column in"], kernel: Float[Array, "height width in out"]) -> Array:
  return lax.conv_general_dilated(x, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC"))


@jax.custom_vjp
def convolve(
  x: Float[Array, "example row column in"], kernel: Float[Array, "3 3 in out"]
) -> Float[Array, "example row column out"]:
  """3x3, stride 1, padding 1: the one kind of convolution that XLA does as a matrix product on a CPU.

  Its gradients are written as such convolutions too: as XLA derives them they
  are 40 times slower. So is a vmap over kernels, a grouped convolution.
  """
  return _convolve(x, kernel)


def _convolve_forward(x, kernel):
  return _convolve(x, kernel), (x, kernel)


def _convolve_backward(residuals, cotangent):
  x, kernel = residuals
  to_x = _convolve(cotangent, jnp.swapaxes(kernel[::-1, ::-1], 2, 3))
  # Channels as examples, examples as channels, the cotangent as a kernel as large as the image.
  to_kernel = _convolve(x.transpose(3, 1, 2, 0), cotangent.transpose(1, 2, 0, 3))
  return to_x, to_kernel.transpose(1, 2, 0, 3)


convolve.defvjp(_convolve_forward, _convolve_backward)


def patches_of(
  images: Float[Array, "*leading row column channel"], stride: int
) -> Float[Array, "*leading row/{stride} column/{stride} patch"]:
  """What a 3x3 convolution of padding 1 sees: 9 x channel numbers an output."""
  *leading, rows, columns, _ = images.shape
  padded = jnp.pad(images, (*((0, 0) for _ in leading), (1, 1), (1, 1), (0, 0)))
  places = [(i, j) for i in range(3) for j in range(3)]
  return jnp.concatenate(
    [padded[..., i : i + rows : stride, j : j + columns : stride, :] for i, j in places], axis=-1
  )


class CNN(Classifier):
  """Two 3x3 convolutions without bias, the first of stride 2, ReLU; mean over the image; a linear layer."""

  channels: tuple[int, int]
  classes: int
  examples_at_once: ClassVar[int] = 50
  examples_trained_at_once: ClassVar[int] = 8  # whose activations stay in a CPU's cache

  @nn.compact
  def __call__(self, images: Float[Array, "example row column channel"]) -> Float[Array, "example class"]:
    x = images
    for i, (channels, stride) in enumerate(zip(self.channels, (2, 1))):
      init = fan_in_uniform(9 * x.shape[-1])
      x = nn.relu(nn.Conv(channels, (3, 3), stride, 1, use_bias=False, kernel_init=init, name=f"conv_{i}")(x))
    init = fan_in_uniform(self.channels[1])
    return nn.Dense(self.classes, kernel_init=init, bias_init=init, name="linear")(x.mean(axis=(1, 2)))

  @nn.nowrap
  def _first_layer(self, parameters: Stacked, images: Array) -> tuple[Array, Array]:
    """Patches of the images, and the first convolution of all runs, [example row column run channel]: one product."""
    patches = patches_of(images, 2)
    kernel = jnp.swapaxes(parameters["conv_0"]["kernel"], -1, -2)
    product = patches.reshape(-1, patches.shape[-1]) @ kernel.reshape(patches.shape[-1], -1)
    return patches, product.reshape(*patches.shape[:3], *kernel.shape[-2:])

  @nn.nowrap
  def _rest(self, own: Parameters, first: Float[Array, "example row column channel"]) -> Float[Array, "example class"]:
    """Logits of one run from its first convolution."""
    x = nn.relu(convolve(nn.relu(first), own["conv_1"]["kernel"]))
    return x.mean(axis=(1, 2)) @ own["linear"]["kernel"] + own["linear"]["bias"][None]

  @nn.nowrap
  def _run_by_run(self, parameters: Stacked, first: Array, function: Callable) -> Any:
    """function(own parameters, own first convolution), one run after another as their convolutions cannot be joined."""
    own = {name: jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), parameters[name]) for name in ("conv_1", "linear")}

    def run(index_and_own):
      index, own = index_and_own
      return function(own, lax.dynamic_index_in_dim(first, index, 3, keepdims=False))

    return lax.map(run, (jnp.arange(first.shape[3]), own))

  @nn.nowrap
  def logits_by_products(
    self, parameters: Stacked, images: Float[Array, "example row column channel"]
  ) -> Float[Array, "example class run"]:
    """Both convolutions as matrix products with patches, of all runs at once: on a GPU faster than grouped ones."""
    _, first = self._first_layer(parameters, images)
    patches = patches_of(nn.relu(jnp.moveaxis(first, 3, 0)), 1)
    kernel = parameters["conv_1"]["kernel"].reshape(patches.shape[-1], self.channels[1], -1)
    pooled = nn.relu(jnp.einsum("rbyxp,pcr->rbyxc", patches, kernel)).mean(axis=(2, 3))
    linear = parameters["linear"]
    return jnp.einsum("rbc,cor->bor", pooled, linear["kernel"]) + linear["bias"][None]

  @nn.nowrap
  def logits(self, parameters: Stacked, images: Float[Array, "example ..."]) -> Float[Array, "example class run"]:
    backend = jax.default_backend()
    if backend == "gpu":
      return self.logits_by_products(parameters, images)
    if backend != "cpu":
      return super().logits(parameters, images)
    _, first = self._first_layer(parameters, images)
    return jnp.moveaxis(self._run_by_run(parameters, first, self._rest), 0, -1)

  @nn.nowrap
  def loss(self, parameters: Stacked, batch: Examples) -> Float[Array, "run"]:
    if jax.default_backend() != "cpu":
      return super().loss(parameters, batch)
    return stacked.loss_in_parts(self._value_and_gradient, self.examples_trained_at_once)(parameters, batch)

  @nn.nowrap
  def _value_and_gradient(self, parameters: Stacked, batch: Examples) -> tuple[Float[Array, "run"], Stacked]:
    patches, first = self._first_layer(parameters, jnp.asarray(batch.images))

    def loss(own, first):
      return cross_entropy(self._rest(own, first), batch.labels)

    value, (own, to_first) = self._run_by_run(parameters, first, jax.value_and_grad(loss, (0, 1)))
    to_kernel = jnp.einsum("byxp,rbyxc->pcr", patches, to_first)
    gradient = jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), own)
    return value, {"conv_0": {"kernel": to_kernel.reshape(parameters["conv_0"]["kernel"].shape)}, **gradient}


def cnn_hidden_layers(channels: tuple[int, int]) -> tuple[HiddenLayer, ...]:
  """The channels of a CNN's two convolutions."""
  return (
    HiddenLayer(channels[0], (("conv_0/kernel", 3), ("conv_1/kernel", 2))),
    HiddenLayer(channels[1], (("conv_1/kernel", 3), ("linear/kernel", 0))),
  )


def cross_entropy(
  logits: Float[Array, "example class"], labels: Int[Array | np.ndarray, "example"]
) -> Float[Array, ""]:
  """Mean over examples, in nats."""
  return jnp.mean(stacked.loss_and_wrong(logits[:, :, None], labels)[0])
