"""Which nodes there are, and what happened to them."""
