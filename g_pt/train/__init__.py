"""Training of G.pt: one jitted step, and the loop around it."""
