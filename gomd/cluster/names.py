"""Finds a node by id or by name."""

from __future__ import annotations

from collections.abc import Sequence

from libgomd.errors import NotFound
from libgomd.model import Node
from libgomd.similar_names import most_similar


def find_node(nodes: Sequence[Node], key: str) -> Node:
    """
    Return the node whose id or name is ``key``. A number is always an id.

    :raises NotFound: there is none; the text suggests a similar name.
    """
    if key.isascii() and key.isdigit():
        number = int(key)
        for node in nodes:
            if node.id == number:
                return node
        raise NotFound(f"there is no node {key}: `nodes` lists {_some([str(node.id) for node in nodes])}")
    for node in nodes:
        if node.name == key:
            return node
    near = most_similar(key, [node.name for node in nodes])
    hint = f"did you mean {near}?" if near else f"`nodes` lists {_some([node.name for node in nodes])}"
    raise NotFound(f"there is no node {key}: {hint}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
