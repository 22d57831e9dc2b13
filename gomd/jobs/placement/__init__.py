"""Chooses the node for a new job, and decides when moving a running one is worth its cost."""
