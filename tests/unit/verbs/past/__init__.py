"""The verbs about the past: what was known then, whose memory it is, and who may see it."""
