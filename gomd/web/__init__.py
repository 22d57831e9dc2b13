"""The HTTP way in: /metrics for Prometheus."""
