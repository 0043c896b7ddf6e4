"""Prompting again and again: an updated network is updated once more; from the task's initial networks and others."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from g_pt.evaluation.base import Context, Result
from g_pt.fields import Settings as Base
from g_pt.fields import limited
from g_pt.parameters import inits

USES = ("sample",)
_TOLD = (1, 3, 10)  # updates after which the summary says where networks are


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  networks: int = limited(32, least=2)  # fresh ones
  updates: int = limited(10, least=1)
  inits: tuple[str, ...] = limited(inits.INITS, choices=inits.INITS)


def run(context: Context, settings: Settings) -> Result:
  """From each kind of init, the metric after every update on the recorded data and on the held-out data."""
  metric = context.gpt.metric
  prompt = metric.best_prompt if metric.recursive_prompt is None else metric.recursive_prompt
  own = context.fresh(settings.networks)
  theta = jnp.concatenate([_started(context, own, init) for init in settings.inits])
  values = {"recorded": [context.metric(theta)], "final": [context.metric(theta, "final")]}
  for update in range(settings.updates):
    theta = context.update(theta, prompt, context.key("recursion", "update", update), values["recorded"][-1])
    for part, measured in values.items():
      measured.append(context.metric(theta, part))
  arrays: dict[str, np.ndarray] = {}
  told: dict[str, Any] = {init: {} for init in settings.inits}
  for part, measured in values.items():
    for init, of_init in zip(settings.inits, np.split(np.stack(measured, axis=1), len(settings.inits))):
      arrays[f"{init}.{part}"] = of_init
      told[init][part] = _told(of_init)
  updates = [count for count in _TOLD if count <= settings.updates]
  summary = {"prompt": prompt, "networks": len(own), "updates": updates, "inits": told}
  return Result(summary, arrays)


def _started(context: Context, own: Float[Array, "net parameter"], init: str) -> Float[Array, "net parameter"]:
  """One after another: batched decompositions may hang on a CPU."""
  started = jax.jit(inits.started, static_argnums=(0, 2))
  keys = (context.key("recursion", "init", number) for number in range(len(own)))
  return jnp.stack([started(context.gpt.task.spec, one, init, key) for one, key in zip(own, keys)])


def _told(metric: Float[np.ndarray, "net update"]) -> dict[str, Any]:
  """Means over networks; numbers that are not finite, which a far-off start may have, are None."""
  means = [float(mean) if np.isfinite(mean) else None for mean in metric.mean(axis=0)]
  return {"start": means[0], "after": [means[count] for count in _TOLD if count < len(means)]}
