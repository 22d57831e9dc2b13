"""The ways in, without a network."""
