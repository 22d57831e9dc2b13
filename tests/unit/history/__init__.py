"""Unit tests: The sample logs."""
