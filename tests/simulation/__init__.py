"""Models of clusters, for tests and benchmarks of what decides by load."""
