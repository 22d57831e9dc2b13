"""The HTTP way in: the page, the API, live events, and /metrics for Prometheus."""
