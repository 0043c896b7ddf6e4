"""Learning to learn with generative models of neural network checkpoints, in JAX."""

from g_pt.sample import GPT, load

__all__ = ["GPT", "load"]
