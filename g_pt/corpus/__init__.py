"""Checkpoint datasets: made, kept, prepared and drawn from."""
