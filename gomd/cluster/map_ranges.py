"""A map of nodes as openMosix writes it, made of nodes: `gomd.cluster.map_file` reads one."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from libgomd.model import Node


def ranges_of(nodes: Iterable[Node]) -> list[tuple[int, str, int]]:
    """
    Return the ranges of a map with these nodes: first id, its address and count, ordered by id.

    Nodes with consecutive ids and consecutive addresses form one range, as in openMosix.
    """
    ranges: list[tuple[int, str, int]] = []
    for node in sorted(nodes, key=lambda each: each.id):
        if ranges:
            first, address, count = ranges[-1]
            follows = int(ipaddress.IPv4Address(address)) + count == int(ipaddress.IPv4Address(node.address))
            if node.id == first + count and follows:
                ranges[-1] = (first, address, count + 1)
                continue
        ranges.append((node.id, node.address, 1))
    return ranges
