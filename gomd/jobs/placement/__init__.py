"""Which node is best for a job, and when moving one pays."""
