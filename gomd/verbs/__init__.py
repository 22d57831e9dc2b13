"""The requests of all protocols: one table of verbs, one file a subject."""
