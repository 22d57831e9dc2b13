"""Programs that nobody here wrote, moved between two hosts that share nothing but home directories."""
