"""Integration tests: real daemons on loopback, in their own state directories."""
