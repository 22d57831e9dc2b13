"""What the home node remembers of its jobs: the job table, its journal, and kept output."""
