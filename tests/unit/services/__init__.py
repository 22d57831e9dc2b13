"""Unit tests: What runs by the clock."""
