"""Learning to learn with generative models of neural network checkpoints, in JAX."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from g_pt.gpt import GPT
  from g_pt.trained import load

__all__ = ["GPT", "load"]


def __getattr__(name: str) -> Any:
  # Only when they are asked for: `g_pt.host_memory` must be there before JAX is.
  if name == "GPT":
    from g_pt.gpt import GPT

    return GPT
  if name == "load":
    from g_pt.trained import load

    return load
  raise AttributeError(f"module 'g_pt' has no attribute {name!r}")
