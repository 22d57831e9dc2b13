"""Temporary files are a job's own: nobody else sees them, they move with it, and they are gone with it."""
