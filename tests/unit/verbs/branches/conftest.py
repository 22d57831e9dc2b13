"""A small cluster."""

from __future__ import annotations

import pytest

from tests.tree_cluster import TreeCluster


@pytest.fixture
def ten() -> TreeCluster:
    """Ten nodes, of which each asks three."""
    return TreeCluster(10, fan_out=3)
