"""The arithmetic of stacked layers: parameters of many networks along a last axis, `run`.

The run axis is the one that a CPU's vectors, and a TPU's lanes, run along: the
first layer of all networks is one matrix product with the images that they
share, and what is too small for a matrix product is elementwise over runs.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import operator
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
import numpy as np

from g_pt.tasks.base import Stacked

_NARROW = 32  # inputs and outputs of a layer up to which sums of products beat one matrix product a run
_FOLD = 16  # examples that are left when the others have been added to them

Totals = dict[str, Array]


def in_memory(function: Callable[..., Array], *arguments: Float[Array, "..."]) -> Array:
  """function(*arguments), written to memory once.

  XLA's CPU compiler otherwise computes a cheap array again wherever it is read,
  ten times over in a softmax of ten classes. A branch is the one border that it
  fuses nothing across: the condition is always true, but no compiler knows.
  """
  result = jax.eval_shape(function, *arguments)
  bits = lax.bitcast_convert_type(arguments[0].ravel()[0], jnp.int32)

  def branch(*arguments):
    return lax.cond((bits | 1) != 0, function, lambda *_: jnp.zeros(result.shape, result.dtype), *arguments)

  return lax.platform_dependent(*arguments, cpu=branch, default=function)


@jax.custom_vjp
def relu_with_bias(
  x: Float[Array, "example unit run"], bias: Float[Array, "unit run"]
) -> Float[Array, "example unit run"]:
  """max(x + bias, 0)."""
  return in_memory(lambda x, bias: jax.nn.relu(x + bias[None]), x, bias)


def _relu_with_bias_forward(x, bias):
  y = relu_with_bias(x, bias)
  return y, y


def _relu_with_bias_backward(y, cotangent):
  to_x = jnp.where(y > 0, cotangent, 0)
  return to_x, jnp.sum(to_x, axis=0)


relu_with_bias.defvjp(_relu_with_bias_forward, _relu_with_bias_backward)


def _total(terms: list[Array]) -> Array:
  return functools.reduce(operator.add, terms)


def _sum_of_products(x: Float[Array, "example in run"], kernel: Float[Array, "in out run"]) -> Array:
  return _total([x[:, i, None] * kernel[None, i] for i in range(kernel.shape[0])])


@jax.custom_vjp
def _narrow_dense(x: Float[Array, "example in run"], kernel: Float[Array, "in out run"]) -> Array:
  return in_memory(_sum_of_products, x, kernel)


def _narrow_dense_forward(x, kernel):
  return _narrow_dense(x, kernel), (x, kernel)


def _narrow_dense_backward(residuals, cotangent):
  x, kernel = residuals
  to_x = _sum_of_products(cotangent, jnp.swapaxes(kernel, 0, 1))
  missing = [(0, -x.shape[0] % _FOLD), (0, 0), (0, 0)]
  x, cotangent = jnp.pad(x, missing), jnp.pad(cotangent, missing)
  # The sum over examples as two sums of slices: loops over whole vectors of runs.
  starts = range(0, x.shape[0], _FOLD)
  folded = _total([x[i : i + _FOLD, :, None] * cotangent[i : i + _FOLD, None] for i in starts])
  return to_x, _total([folded[i] for i in range(_FOLD)])


_narrow_dense.defvjp(_narrow_dense_forward, _narrow_dense_backward)


def dense(x: Float[Array, "example in run"], kernel: Float[Array, "in out run"]) -> Float[Array, "example out run"]:
  """Every run's own inputs by its own matrix."""
  if max(kernel.shape[:2]) <= _NARROW:
    return _narrow_dense(x, kernel)
  return jnp.einsum("bir,ior->bor", x, kernel)


def shared_dense(x: Float[Array, "example in"], kernel: Float[Array, "in out run"]) -> Float[Array, "example out run"]:
  """The inputs that the runs share by every run's matrix: one matrix product."""
  return (x @ kernel.reshape(kernel.shape[0], -1)).reshape(x.shape[0], *kernel.shape[1:])


def loss_and_wrong(
  logits: Float[Array, "example class run"], labels: Int[Array | np.ndarray, "example"]
) -> tuple[Float[Array, "example run"], Bool[Array, "example run"]]:
  """Each example's cross-entropy in nats, and whether it is taken for another class."""
  highest = lax.stop_gradient(jnp.max(logits, axis=1))
  log_total = highest + jnp.log(jnp.sum(jnp.exp(logits - highest[:, None]), axis=1))
  own = jnp.sum(jnp.where((labels[:, None] == jnp.arange(logits.shape[1])[None])[:, :, None], logits, 0.0), axis=1)
  # Not `own < highest`: a network that diverged (NaN) is always wrong.
  return log_total - own, ~(own >= highest)


def loss_in_parts(value_and_gradient: Callable[[Stacked, Any], tuple[Array, Stacked]], at_once: int) -> Callable:
  """A group's loss that is differentiated part by part of its batch, so that what is between stays in the cache.

  `value_and_gradient` takes stacked parameters and a part of the batch, and
  gives the loss [run] and its gradient. The result takes stacked parameters and
  a batch, whose arrays lead with the examples, and gives the mean loss [run];
  it is differentiable in the parameters. A part is the greatest divisor of the
  batch up to `at_once`.
  """

  def mean(parameters, batch):
    examples = jax.tree.leaves(batch)[0].shape[0]
    size = next(size for size in range(at_once, 0, -1) if examples % size == 0)
    parts = jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), batch)
    shapes = jax.eval_shape(value_and_gradient, parameters, jax.tree.map(lambda x: x[0], parts))

    def add(total, part):
      return jax.tree.map(jnp.add, total, value_and_gradient(parameters, part)), None

    total, _ = lax.scan(add, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes), parts)
    return jax.tree.map(lambda x: x * (size / examples), total)

  @jax.custom_vjp
  def loss(parameters, batch):
    return mean(parameters, batch)[0]

  def backward(gradient, cotangent):
    return jax.tree.map(lambda g: g * cotangent.reshape((1,) * (g.ndim - 1) + (-1,)), gradient), None

  loss.defvjp(mean, backward)
  return loss


def _in_parts(function: Callable[[Any], Any], examples: Any, at_once: int) -> list[tuple[bool, Any]]:
  """Results of up to two calls: of all whole parts (True), which lead with the part, and of the rest (False)."""
  count = jax.tree.leaves(examples)[0].shape[0]
  whole = count - count % at_once
  results = []
  if whole:
    parts = jax.tree.map(lambda x: x[:whole].reshape(-1, at_once, *x.shape[1:]), examples)
    results.append((True, lax.map(function, parts)))
  if whole < count:
    results.append((False, function(jax.tree.map(lambda x: x[whole:], examples))))
  return results


def map_in_parts(function: Callable[[Any], Array], examples: Any, at_once: int) -> Array:
  """`function`, whose result leads with the examples, of parts of up to `at_once` of them, joined."""
  results = _in_parts(function, examples, at_once)
  return jnp.concatenate([x.reshape(-1, *x.shape[2:]) if of_parts else x for of_parts, x in results])


def totals_in_parts(function: Callable[[Any], Totals], examples: Any, at_once: int) -> Totals:
  """Sums of `function` over parts of up to `at_once` examples, so that nothing grows with their number."""
  totals = [
    jax.tree.map(lambda x: jnp.sum(x, axis=0), found) if of_parts else found
    for of_parts, found in _in_parts(function, examples, at_once)
  ]
  return jax.tree.map(lambda *terms: _total(list(terms)), *totals)
