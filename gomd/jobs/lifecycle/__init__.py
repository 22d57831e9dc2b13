"""Submitting, tracking and controlling jobs: the daemon's end of every job that passes through it."""
