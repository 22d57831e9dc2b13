"""The ways in: bytes in, verbs, bytes out."""
