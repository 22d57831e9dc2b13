"""
What a command printed on many nodes: the nodes that printed the same stand together, as with `clush -b`.

Pure; the output of a node is bounded, so that no command fills the memory of the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gom.exitstatus import FAILED
from libgomd.node_sets import fold
from libgomd.wire.values import dumps

#: Characters of output that are kept of one node. The longest line of an answer is far below it.
MAX_OUTPUT: Final = 1_000_000
_RULE: Final = "-" * 15


@dataclass(frozen=True)
class NodeOutput:
    """
    How a command ended on one node.

    :ivar lines: what it printed, standard output and error as they came.
    :ivar status: its exit status, 128 and the signal's number when one ended it; `FAILED` with an ``error``.
    :ivar error: why it has not run there, or why nobody knows how it ended; empty when it has run.
    :ivar is_cut: that it printed more than `MAX_OUTPUT` characters, which are not kept.
    """

    node: int
    name: str
    lines: tuple[str, ...] = ()
    status: int = FAILED
    error: str = ""
    is_cut: bool = False

    def as_json(self) -> str:
        """Return it as one JSON object: node, name, lines, exit (null with an error), error, cut."""
        status = None if self.error else self.status
        found = {"node": self.node, "name": self.name, "lines": self.lines, "exit": status}
        return dumps(found | {"error": self.error or None, "cut": self.is_cut})


class Kept:
    """The lines of one node, up to `MAX_OUTPUT` characters."""

    def __init__(self, limit: int = MAX_OUTPUT) -> None:
        self._left = limit
        self.lines: list[str] = []
        self.is_cut = False

    def add(self, line: str) -> None:
        """Keep a line, or note that one was left out."""
        self._left -= len(line) + 1
        if self._left >= 0:
            self.lines.append(line)
        else:
            self.is_cut = True


def folded(outputs: Iterable[NodeOutput]) -> Iterator[str]:
    """
    Yield the lines to print: for each different output the nodes that printed it, and the output once.

    The largest group comes first; among equal ones that of the lowest node id.
    """
    ran = sorted((each for each in outputs if not each.error), key=lambda each: each.node)
    groups: dict[tuple[tuple[str, ...], int, bool], list[NodeOutput]] = {}
    for each in ran:
        groups.setdefault((each.lines, each.status, each.is_cut), []).append(each)
    for (lines, status, is_cut), nodes in sorted(groups.items(), key=lambda item: -len(item[1])):
        how = f", exit {status}" if status else ""
        yield _RULE
        yield f"{fold([each.name for each in nodes])} ({len(nodes)}{how})"
        yield _RULE
        yield from lines
        if is_cut:
            yield f"... it printed more than {MAX_OUTPUT} characters; the rest is not kept"


def failures(outputs: Iterable[NodeOutput]) -> Iterator[str]:
    """Yield one sentence for each different error, with the nodes that it is about."""
    found: dict[str, list[str]] = {}
    for each in sorted(outputs, key=lambda each: each.node):
        if each.error:
            found.setdefault(each.error, []).append(each.name)
    for error, names in found.items():
        yield f"{fold(names)}: {error}"


def worst(outputs: Iterable[NodeOutput]) -> int:
    """Return the exit status for all: the highest, so that 0 means that all have succeeded."""
    return max((FAILED if each.error else each.status for each in outputs), default=0)
