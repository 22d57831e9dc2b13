r"""
The rounds that a relay of a watch passes on, and how they are cut out of its bytes again. Pure.

``ID*SIZE`` is followed by the bytes of a whole round of that node, as the node has sent it. ``ID!CODE TEXT``
says that the relay does not watch that node any more, and why. ``+`` says that the relay is there. Each of
these ends with ``\r\n``.

A relay that is asked to joins the rounds that it has at a time: ``*COUNT SIZE`` is followed by an index of
COUNT records and the bytes of as many whole rounds, SIZE bytes in all. A record has 22 bytes in network
order: the node (2), how many bytes its round has (4), how many rows (4), of how many rows these are the first
(4), and the number by which its first row is ordered (an IEEE 754 double; NaN where there is no order). So
whoever merges the rounds of hundreds of nodes knows of each what it needs to choose among them, and looks at
the bytes of those only of which something is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import Any, Final

from gomd.verbs.branch_rows import ALIVE, refusal_row
from gomd.verbs.branches import MAX_BRANCH
from gomd.verbs.node_rounds import MAX_ROUND_BYTES, MAX_ROUND_ROWS, NodeRound
from gomd.verbs.numbered_lines import NumberedLines, SharedPiece
from libgomd.errors import GomdError, MalformedReply, TimedOut, error_for
from libgomd.wire.lines import EOL

#: Largest size of a header in bytes; a reason is the longest.
MAX_HEADER: Final = 4096
_HEADER: Final = re.compile(rb"([0-9]{1,5})(?:\*([0-9]{1,9})|!(.*))", re.DOTALL)
_JOINED: Final = re.compile(rb"\*([0-9]{1,3}) ([0-9]{1,9})")
_RECORD: Final = Struct("!HIIId")
#: Bytes of rounds that are joined, unless one has more; and the largest size of that with its index.
JOINED_BYTES: Final = 1 << 20
_MAX_JOINED: Final = JOINED_BYTES + MAX_ROUND_BYTES + (MAX_BRANCH + 1) * _RECORD.size
_MOST_MATCHED: Final = (1 << 32) - 1
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


def joined_bytes(
    rounds: Iterable[tuple[int, NodeRound]], rank: Callable[[NodeRound], float | None]
) -> Iterator[bytes]:
    """
    Yield rounds joined, about `JOINED_BYTES` at a time.

    :param rounds: each with its node, at most one of each node. :param rank: gives the number by which the
        first row of a round is ordered; None where there is no order.
    """
    index: list[bytes] = []
    data: list[bytes] = []
    size = 0
    for node, each in rounds:
        number = rank(each)
        matched = min(each.matched(), _MOST_MATCHED)
        index.append(
            _RECORD.pack(node, len(each.data), each.count, matched, _NAN if number is None else number)
        )
        data.append(each.data)
        size += len(each.data)
        if size >= JOINED_BYTES or len(index) > MAX_BRANCH:
            yield _joined(index, data, size)
            index, data, size = [], [], 0
    if index:
        yield _joined(index, data, size)


def _joined(index: list[bytes], data: list[bytes], size: int) -> bytes:
    header = b"*%d %d\r\n" % (len(index), size + len(index) * _RECORD.size)
    return b"".join((header, *index, *data))


_NAN: Final = float("nan")


def refusal_bytes(node: int, error: GomdError) -> bytes:
    """Return the line for a node that is not watched any more."""
    return refusal_row(node, error).encode("utf-8", "backslashreplace") + EOL


class BranchCutter:
    """Cuts the bytes of a relay into rounds. After an error it cannot be used any more."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 1

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes | NodeRound | None, str]]:
        """
        Yield ``(node, round, reason)``: a round or its bytes, or None and why there are no more.

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
                if (found := _JOINED.fullmatch(header)) is None:
                    raise _error_in(header)
                count, size = int(found[1]), int(found[2])
                if size > _MAX_JOINED or count > MAX_BRANCH + 1:
                    raise MalformedReply(f"it sends {size} bytes of {count} nodes at a time")
                if len(data) < end + 2 + size:
                    self._keep(data[at:], end + 2 + size - at)
                    return
                at = end + 2 + size
                yield from _taken_apart(data, end + 2, at, count)
                continue
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


def _taken_apart(data: bytes, begin: int, end: int, count: int) -> Iterator[tuple[int, NodeRound, str]]:
    """Yield the rounds that are joined between two places. :raises MalformedReply: the index is wrong."""
    at = begin + count * _RECORD.size
    if at > end:
        raise MalformedReply("the rounds that it joins have no whole index")
    index = list(_RECORD.iter_unpack(memoryview(data)[begin:at]))
    if at + sum(record[1] for record in index) != end:
        raise MalformedReply("the rounds that it joins have another size than it says")
    for node, size, rows, matched, rank in index:
        if rows > MAX_ROUND_ROWS:
            raise MalformedReply(f"it sends a round of {rows} rows")
        begin, at = at, at + size
        yield node, NodeRound(data[begin:at], None, rows, matched, rank if rank == rank else None), ""


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
