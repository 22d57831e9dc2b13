"""Unit tests: The configuration."""
