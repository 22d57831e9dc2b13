"""The process beside each job, and the fork server that makes it. Standard library and libgomd.wire only."""
