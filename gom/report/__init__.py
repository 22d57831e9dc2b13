"""`gom report`: some hours of all nodes as one HTML file with vector charts (extra: report)."""
