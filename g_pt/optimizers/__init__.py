"""Hand-made optimizers at their best, which a G.pt is compared with; nothing here knows of one."""
