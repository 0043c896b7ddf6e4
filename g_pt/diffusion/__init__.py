"""Gaussian diffusion around any model: pure functions of arrays, a screenful each."""
