"""Checkpoint and restore by criu: running it, what a process requires, and what it is permitted."""
