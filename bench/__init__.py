"""`make bench`: every claim of speed or size, measured as a ratio within the run."""
