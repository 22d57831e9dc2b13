"""The nodes of the cluster: membership engines, seeds, node ids, and events."""
