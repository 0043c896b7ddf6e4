"""Prompting again and again: an updated network is updated once more; from the task's initial networks and others."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
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
  spec, metric = context.gpt.task.spec, context.gpt.metric
  prompt = metric.best_prompt if metric.recursive_prompt is None else metric.recursive_prompt
  own = context.fresh(settings.networks)
  started = jax.jit(inits.started, static_argnums=(0, 2))
  arrays: dict[str, np.ndarray] = {}
  told: dict[str, Any] = {}
  for init in settings.inits:
    keys = [context.key("recursion", "init", number) for number in range(len(own))]
    # One after another: batched decompositions may hang on a CPU.
    theta = jnp.stack([started(spec, one, init, key) for one, key in zip(own, keys)])
    values = {"recorded": [context.metric(theta)], "final": [context.metric(theta, "final")]}
    for update in range(settings.updates):
      theta = context.update(theta, prompt, context.key("recursion", "update", update), values["recorded"][-1])
      for part, measured in values.items():
        measured.append(context.metric(theta, part))
    arrays |= {f"{init}.{part}": np.stack(measured, axis=1) for part, measured in values.items()}
    told[init] = {part: _told(measured) for part, measured in values.items()}
  updates = [count for count in _TOLD if count <= settings.updates]
  summary = {"prompt": prompt, "networks": len(own), "updates": updates, "inits": told}
  return Result(summary, arrays)


def _told(measured: list[np.ndarray]) -> dict[str, Any]:
  """Means over networks; numbers that are not finite, which a far-off start may have, are None."""
  means = [float(values.mean()) for values in measured]
  means = [mean if np.isfinite(mean) else None for mean in means]
  return {"start": means[0], "after": [means[count] for count in _TOLD if count < len(means)]}
