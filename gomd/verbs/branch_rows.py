"""
The rows of a relay's answer: which line is of which node. Pure.

``ID=LINE`` is a line of a node's answer, ``ID:LINE`` its last line, ``ID.`` the end of an answer without
lines. ``ID!CODE TEXT`` says why the relay has no answer of a node: the asker then asks that node itself.
``+`` says nothing but that the relay is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from libgomd.errors import GomdError, MalformedReply, NodeError, RequestError
from libgomd.wire.text import printable

#: What a relay sends while it has nothing else to say.
ALIVE: Final = "+"
#: Characters of a reason that are passed on.
MAX_REASON: Final = 500
_ROW: Final = re.compile(r"([0-9]{1,5})([=:.!])(.*)", re.DOTALL)


def answer_rows(node: int, lines: Sequence[str]) -> list[str]:
    """Return the rows for the whole answer of a node."""
    if not lines:
        return [f"{node}."]
    *before, last = lines
    return [*(f"{node}={line}" for line in before), f"{node}:{last}"]


def refusal_row(node: int, error: GomdError) -> str:
    """Return the row for a node of which there is no answer."""
    code = error.code if isinstance(error, (RequestError, NodeError)) else 500
    return f"{node}!{code} {printable(str(error))[:MAX_REASON]}"


def parse_row(row: str) -> tuple[int, str, str]:
    """Return the node, the character behind it and the rest. :raises MalformedReply: it is no such row."""
    match = _ROW.fullmatch(row)
    if match is None:
        raise MalformedReply(f"it sends what is no row of a relay: {row[:80]!r}")
    return int(match[1]), match[2], match[3]


class BranchReader:
    """
    Takes the rows of one relay apart.

    :param asked: the nodes that it may answer for. :param most: lines of one node.
    :ivar held: characters of answers that are not complete.
    """

    def __init__(self, asked: frozenset[int], most: int) -> None:
        self.held = 0
        self._left = set(asked)
        self._asked = asked
        self._most = most
        self._lines: dict[int, list[str]] = {}

    def feed(self, rows: Sequence[str]) -> Iterator[tuple[int, list[str] | None, str]]:
        """
        Yield ``(node, lines, reason)`` for each node that is done with: its whole answer, or None and why.

        :raises MalformedReply: a row is in no such form, is of a node that this relay was not asked about or
            that is done with, or there are too many lines. Nothing after it is used.
        """
        for row in rows:
            if row == ALIVE:
                continue
            node, kind, line = parse_row(row)
            if node not in self._left:
                done = "a second answer" if node in self._asked else "an answer"
                more = "" if node in self._asked else ", about which it was not asked"
                raise MalformedReply(f"it sends {done} of node {node}{more}")
            if kind == "!":
                self._forget(node)
                yield node, None, line
                continue
            lines = self._lines.setdefault(node, [])
            if kind != ".":
                lines.append(line)
                self.held += len(line)
            if len(lines) > self._most + 1:
                raise MalformedReply(f"it sends more than {self._most} lines of node {node}")
            if kind != "=":
                self._forget(node)
                yield node, lines, ""

    def _forget(self, node: int) -> None:
        self._left.discard(node)
        self.held -= sum(map(len, self._lines.pop(node, ())))
