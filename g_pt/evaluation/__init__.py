"""Experiments with a trained G.pt, one a module: numbers and arrays out, no plotting."""
