"""Bytes to values and back, without any I/O: the telnet line, the tree of paths, JSON."""
