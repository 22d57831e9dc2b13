"""`@all` beyond `[peers] fan_out` nodes: asked through other nodes, whatever becomes of these."""
