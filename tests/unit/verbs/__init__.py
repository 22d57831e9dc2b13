"""Unit tests of gomd.verbs."""
