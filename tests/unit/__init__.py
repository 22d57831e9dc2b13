"""Unit tests: no sockets, no sleep, no patching of our own code."""
