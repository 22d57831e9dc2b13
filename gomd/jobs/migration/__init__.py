"""Moving jobs between nodes: protocol, driver, journal, and the two ends."""
