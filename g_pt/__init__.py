"""Learning to learn with generative models of neural network checkpoints, in JAX."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from g_pt.sample import GPT, load

__all__ = ["GPT", "load"]


def __getattr__(name: str) -> Any:
  # Only when they are asked for: `g_pt.host_memory` must be there before JAX is.
  if name in __all__:
    from g_pt import sample

    return getattr(sample, name)
  raise AttributeError(f"module 'g_pt' has no attribute {name!r}")
