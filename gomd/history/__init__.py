"""Stores for samples, each of them an `ISampleLog`."""
