"""The history in a real PostgreSQL: what a collector stores, what is read from it, and what goes wrong."""
