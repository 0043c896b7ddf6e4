"""Latent walk: one start and one prompt, and the noise that a sample begins from going round in a circle."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from g_pt.evaluation.base import Context, Result
from g_pt.fields import Settings as Base
from g_pt.fields import limited
from g_pt.tasks.base import SHARED_PARTS

USES = ("sample",)


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  noises: int = limited(4, least=2)  # that the walk goes through, back to the first
  frames: int = limited(24, least=1)  # from each of them to the next


def run(context: Context, settings: Settings) -> Result:
  """What each frame's network looks like (`Network.picture`), and its metric."""
  gpt = context.gpt
  start = context.fresh(1)
  noise = slerp_round(gpt.noise(context.key("walk"), settings.noises), settings.frames)
  prompt = gpt.metric.best_prompt
  # A sampler that adds noise of its own adds the same to every frame.
  theta = context.update(jnp.repeat(start, len(noise), axis=0), prompt, context.key("walk", "later"), noise=noise)
  picture = gpt.task.network.picture
  tiles = jax.jit(jax.vmap(lambda one: picture.tiles(gpt.task.spec.unflatten(one))))(theta)
  metric = {f"metric.{part}": context.metric(theta, part) for part in SHARED_PARTS}
  steps = np.linalg.norm(np.diff(np.asarray(theta), axis=0, append=np.asarray(theta[:1])), axis=1)
  values = metric["metric.recorded"]
  summary = {
    "prompt": prompt,
    "frames": len(noise),
    "caption": picture.caption,
    "mean": float(values.mean()),
    "lowest": float(values.min()),
    "highest": float(values.max()),
  }
  return Result(summary, {"tiles": np.asarray(tiles, np.float16), "moved": steps, **metric})


def slerp_round(noise: Float[Array, "noise x"], frames: int) -> Float[Array, "frame x"]:
  """From each noise to the next along a great circle, as normal noise lies near a sphere, and back to the first."""
  share = jnp.arange(frames)[:, None] / frames

  def between(a, b):
    cosine = jnp.dot(a, b) / (jnp.linalg.norm(a) * jnp.linalg.norm(b))
    angle = jnp.arccos(jnp.clip(cosine, -1, 1))
    return (jnp.sin((1 - share) * angle) * a[None] + jnp.sin(share * angle) * b[None]) / jnp.sin(angle)

  return jnp.concatenate([between(a, b) for a, b in zip(noise, jnp.roll(noise, -1, axis=0))])
