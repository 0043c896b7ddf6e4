"""Specs of small MLPs."""

import jax
import jax.numpy as jnp
import pytest

from g_pt.parameters import HiddenLayer, ParameterSpec


@pytest.fixture(scope="session")
def mlp_spec():
  """(inputs, units of each layer) -> the spec of an MLP."""

  def mlp_spec(inputs, *widths):
    tree, layers = {}, []
    for i, (fan_in, fan_out) in enumerate(zip((inputs, *widths), widths)):
      shapes = {"kernel": (fan_in, fan_out), "bias": (fan_out,)}
      tree[f"layer_{i}"] = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
      axes = ((f"layer_{i}/kernel", 1), (f"layer_{i}/bias", 0), (f"layer_{i + 1}/kernel", 0))
      layers.append(HiddenLayer(fan_out, axes))
    return ParameterSpec.of(tree, layers[:-1])

  return mlp_spec
