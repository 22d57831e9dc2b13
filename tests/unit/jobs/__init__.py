"""Unit tests of the jobs: where they go, what they are, how they move."""
