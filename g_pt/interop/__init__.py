"""The public PyTorch release of G.pt and PyTorch itself: weights, checkpoint datasets and networks, in and out."""
