r"""
The rounds that a relay of a watch passes on, and how they are cut out of its bytes again. Pure.

``ID*SIZE`` is followed by the bytes of a whole round of that node, as the node has sent it. ``ID!CODE TEXT``
says that the relay does not watch that node any more, and why. ``+`` says that the relay is there. Each of
these ends with ``\r\n``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from gomd.verbs.branch_rows import ALIVE, refusal_row
from gomd.verbs.node_rounds import MAX_ROUND_BYTES
from gomd.verbs.numbered_lines import NumberedLines, SharedPiece
from libgomd.errors import GomdError, MalformedReply, TimedOut, error_for
from libgomd.wire.lines import EOL

#: Largest size of a header in bytes; a reason is the longest.
MAX_HEADER: Final = 4096
_HEADER: Final = re.compile(rb"([0-9]{1,5})(?:\*([0-9]{1,9})|!(.*))", re.DOTALL)
ALIVE_BYTES: Final = ALIVE.encode() + EOL


class PassedOnBytes(NumberedLines):
    """Bytes of a block that are passed on as they are."""

    def __init__(self, data: bytes) -> None:
        super().__init__(SharedPiece(()), "")
        self._data = data

    def encoded(self) -> bytes:
        """Return the bytes."""
        return self._data


def round_bytes(node: int, data: bytes) -> bytes:
    """Return a round with its header. :param data: whole lines."""
    return b"%d*%d\r\n" % (node, len(data)) + data


def refusal_bytes(node: int, error: GomdError) -> bytes:
    """Return the line for a node that is not watched any more."""
    return refusal_row(node, error).encode("utf-8", "backslashreplace") + EOL


class BranchCutter:
    """Cuts the bytes of a relay into rounds. After an error it cannot be used any more."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 1

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes | None, str]]:
        """
        Yield ``(node, round, reason)``: the bytes of a round, or None and why there are no more.

        :raises MalformedReply: the bytes are in no such form. :raises TimedOut: the watch has ended.
        :raises RequestError: the relay could not go on. :raises NodeError: likewise.
        """
        self._parts.append(data)
        self._have += len(data)
        if self._have < self._need:
            return
        data = b"".join(self._parts)
        at = 0
        while (end := data.find(EOL, at)) >= 0:
            header = data[at:end]
            if header == b"+":
                at = end + 2
                continue
            match = _HEADER.fullmatch(header)
            if match is None:
                raise _error_in(header)
            node = int(match[1])
            if match[2] is None:
                at = end + 2
                yield node, None, match[3].decode("utf-8", "backslashreplace")
                continue
            size = int(match[2])
            if size > MAX_ROUND_BYTES:
                raise MalformedReply(f"it sends a round of {size} bytes")
            if len(data) < end + 2 + size:
                self._keep(data[at:], end + 2 + size - at)
                return
            at = end + 2 + size
            yield node, data[end + 2 : at], ""
        if len(data) - at > MAX_HEADER:
            raise MalformedReply(f"it sends a line that is too long: {data[at : at + 40]!r}")
        self._keep(data[at:], len(data) - at + 1)

    def _keep(self, rest: bytes, need: int) -> None:
        self._parts = [rest] if rest else []
        self._have, self._need = len(rest), need


def _error_in(line: bytes) -> GomdError:
    """Return what a line means that is no header: the end of the block, or why it has ended."""
    if line == b".":
        return TimedOut("it has ended the watch")
    try:
        found: Any = json.loads(line)
        error: GomdError = error_for(int(found["code"]), str(found["error"]))
    except (ValueError, RecursionError, TypeError, KeyError):
        return MalformedReply(f"it sends what is no round of a relay: {line[:80]!r}")
    return error
