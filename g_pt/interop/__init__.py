"""The public PyTorch release of G.pt, read and written."""
