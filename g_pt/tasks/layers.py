"""A network of one hidden layer, as arrays by their place in it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from g_pt.parameters import ParameterSpec


class Layers(NamedTuple):
  """Inputs are pixels, outputs are classes."""

  incoming: Float[Array, "pixel unit"]
  bias: Float[Array, "unit"]
  outgoing: Float[Array, "unit output"]
  output_bias: Float[Array, "output"]


def layers_of(spec: ParameterSpec, theta: Float[Array, "net parameter"]) -> Layers:
  """Flat networks of one hidden layer -> their layers, each with the net in front."""

  def one(theta: Float[Array, "parameter"]) -> Layers:
    first, second = spec.unflatten(theta).values()
    return Layers(first["kernel"], first["bias"], second["kernel"], second["bias"])

  return jax.vmap(one)(theta)


def flat_of(spec: ParameterSpec, layers: Layers) -> Float[Array, "net parameter"]:
  """The inverse of `layers_of`."""
  names = list(jax.eval_shape(spec.unflatten, jax.ShapeDtypeStruct((spec.size,), jnp.float32)))

  def one(layers: Layers) -> Float[Array, "parameter"]:
    first = {"kernel": layers.incoming, "bias": layers.bias}
    second = {"kernel": layers.outgoing, "bias": layers.output_bias}
    return spec.flatten(dict(zip(names, (first, second))))

  return jax.vmap(one)(layers)
