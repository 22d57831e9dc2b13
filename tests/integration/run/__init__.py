"""`gom run` on one node, with the Python program and with gomrun."""
