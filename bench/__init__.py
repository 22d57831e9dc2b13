"""`make bench` measures every claim of speed or size, as a ratio within one run."""
