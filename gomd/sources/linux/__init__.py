"""Reads the /proc of a stock kernel: reading apart from parsing, one subject a file."""
