"""A map of nodes as openMosix writes it, made of nodes: `gomd.cluster.map_file` reads one."""

from __future__ import annotations

from collections.abc import Iterable

from libgomd.model import Node
from libgomd.wire.addresses import is_link_local, parse_host


def ranges_of(nodes: Iterable[Node]) -> list[tuple[int, str, int]]:
    """
    Return the ranges of a map with these nodes: first id, its address and count, ordered by id.

    Nodes with consecutive ids and consecutive addresses form one range, as in openMosix.
    """
    ranges: list[tuple[int, str, int]] = []
    for node in sorted(nodes, key=lambda each: each.id):
        if ranges:
            first, address, count = ranges[-1]
            if node.id == first + count and _follows(address, count, node.address):
                ranges[-1] = (first, address, count + 1)
                continue
        ranges.append((node.id, node.address, 1))
    return ranges


def _follows(first: str, count: int, address: str) -> bool:
    """Return whether ``address`` is ``count`` above ``first``, in the same family. No link-local one is."""
    one, other = parse_host(first), parse_host(address)
    same = one.version == other.version and not (is_link_local(first) or is_link_local(address))
    return same and int(one) + count == int(other)
