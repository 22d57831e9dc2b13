"""
The rounds that another node's watch sends, cut out of its bytes and checked before a row is passed on.

Theory of operation. Five hundred nodes send a round a second, and of most of them nothing is shown. So a
round stays the bytes that came: when it arrives only its end is looked at, which says how many rows it has.
Its rows are taken apart when a round for a viewer is composed, and a row is checked when it is passed on: it
is one JSON object of plain ASCII, with no name that says who sent it or how old it is, and a process of it
runs on the sender or has its home there. Whatever else a node sends ends its watch, and its rows are shown no
more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from libgomd.errors import MalformedReply, NodeError, NotPossible, RequestError, TimedOut, error_for
from libgomd.wire.lines import EOL
from libgomd.wire.values import loads

#: Maximum size of the rows of one round in bytes, of one row, and their number.
MAX_ROUND_BYTES: Final = 32 << 20
MAX_ROW_BYTES: Final = 4 << 20
MAX_ROUND_ROWS: Final = 100_000
#: The end of a row: the number of its round, and how many rows that has. Before it stands how many rows there
#: are of which these are the first, where that is told.
_ROUND: Final = b'"round": '
_LAST: Final = re.compile(rb'"round": [0-9]{1,15}, "rows": ([0-9]{1,9})\}\r\n\Z')
_MATCHED: Final = b'"matched": '
_END_LENGTH: Final = 64
#: What stands for itself in a row. A tab is escaped in JSON, as every control character is.
_PLAIN: Final = bytes(range(0x20, 0x7F))
#: Names that the asked daemon gives a row.
_OURS: Final = frozenset({"from", "round", "rows", "rows_age", "total", "left"})
_SHOWN: Final = 80
#: No value of a row is larger.
_LARGEST: Final = 1e30


class NodeRound:
    """
    One round of a node.

    :ivar data: its bytes. :ivar count: how many rows it has. :ivar rank: the number by which its first row is
        ordered, as a relay says; None when nobody has said it.
    :param end: where the end of its last row begins, which all rows have; None until it is looked for.
    :param matched: how many rows there are of which these are the first, as a relay says.
    """

    __slots__ = ("_end", "_matched", "_rows", "count", "data", "rank")

    def __init__(
        self, data: bytes, end: int | None, count: int, matched: int | None = None, rank: float | None = None
    ) -> None:
        self.data = data
        self.count = count
        self.rank = rank
        self._end = end
        self._matched = matched
        self._rows: list[bytes] | None = None

    def matched(self) -> int:
        """Return how many rows there are of which these are the first, as the node says."""
        if self._matched is not None or self._end is None:
            return self.count if self._matched is None else self._matched
        end = self._end - 2
        at = self.data.rfind(_MATCHED, max(0, end - 22), end) + len(_MATCHED)
        if at < len(_MATCHED):
            return self.count
        number = self.data[at:end]
        return int(number) if number.isdigit() else self.count

    def rows(self) -> list[bytes]:
        """
        Return its rows without braces, each ended by ``, ``. They are not checked: see `checked`.

        :raises MalformedReply: the lines are no rows of this round.
        """
        if not self.count:
            return []
        if self._rows is None:
            if self._end is None:
                self._end, _ = _end_in(self.data)
            end = self.data[self._end :]
            rows = self.data[1 : self._end].split(end + b"{")
            if len(rows) != self.count or self.data[:1] != b"{":
                raise _malformed("rows of several rounds in one", self.data)
            self._rows = rows
        return self._rows


def number_behind(name: bytes, row: bytes) -> float | None:
    """
    Return the number behind ``name`` in a row, None when there is none: it is missing, or null.

    :param name: with its quotes, colon and space. Inside a string it cannot stand: quotes are escaped there.
    """
    at = row.find(name)
    if at < 0:
        return None
    at += len(name)
    try:
        found = float(row[at : row.find(b",", at)])
    except ValueError:
        return None
    return found if abs(found) <= _LARGEST else None  # NaN is not either


def whole_round(data: bytes) -> NodeRound:
    """
    Return the round that ``data`` is, which somebody else has cut out. Its rows are counted when used.

    :raises MalformedReply: it does not end as a round does. :raises NotPossible: it has too many rows.
    """
    at, count = _end_in(data)
    if count > MAX_ROUND_ROWS:
        raise NotPossible(TOO_MANY)
    return NodeRound(data, at, count)


def _end_in(data: bytes) -> tuple[int, int]:
    """Return where the end of the last row begins, and how many rows it tells of."""
    at = data.rfind(_ROUND, -_END_LENGTH)
    found = _LAST.match(data, at) if at >= 0 else None
    if found is None:
        raise _malformed("a line that is no row of a watch", data[-_SHOWN:])
    return at, int(found[1])


class RoundCutter:
    """
    Cuts the bytes of a block into rounds.

    A new watch begins a new one. After an error it cannot be used any more.
    """

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._size = 0
        self._lines = 0
        self._wanted: int | None = None

    def feed(self, data: bytes) -> Iterable[NodeRound]:
        """
        Add ``data`` and return the rounds that it completes.

        :raises MalformedReply: a line is no row. :raises NotPossible: there are too many rows, or bytes.
        :raises TimedOut: the block has ended. :raises RequestError: the node could not complete its block.
        :raises NodeError: likewise.
        """
        if not self._pending:
            at = data.rfind(_ROUND, -_END_LENGTH)
            found = _LAST.match(data, at) if at >= 0 else None
            if found is not None:
                count = int(found[1])
                if data.count(b"\n") == (count or 1) and count <= MAX_ROUND_ROWS:
                    return (NodeRound(data, at, count),)
        return self._cut(data)

    def _cut(self, data: bytes) -> Iterator[NodeRound]:
        self._add(data)
        while self._pending:
            if self._wanted is None:
                self._wanted = self._first_count()
            if self._wanted is None or self._lines < max(1, self._wanted):
                return
            data = b"".join(self._pending)
            *lines, rest = data.split(EOL, max(1, self._wanted))
            if len(lines) < max(1, self._wanted):
                raise _malformed("a line that ends with a line feed alone", data)
            whole = data[: len(data) - len(rest)]
            count = self._wanted
            self._pending, self._size, self._lines, self._wanted = [], 0, 0, None
            if rest:
                self._add(rest)
            at = whole.rfind(_ROUND, -_END_LENGTH)
            if at < 0 or _LAST.match(whole, at) is None:
                raise _malformed("a line that is no row of a watch", lines[-1])
            yield NodeRound(whole, at, count)

    def _add(self, data: bytes) -> None:
        self._pending.append(data)
        self._size += len(data)
        self._lines += data.count(b"\n")
        if self._size > MAX_ROUND_BYTES:
            raise NotPossible(TOO_MANY)

    def _first_count(self) -> int | None:
        """Return how many rows the pending round has; None while its first line is not whole."""
        if not self._lines:
            return None
        data = self._pending[0] = b"".join(self._pending)
        del self._pending[1:]
        line, is_whole, _ = data.partition(EOL)
        if line == b".":
            raise TimedOut("it has ended the watch: it is asked again")
        found = _end_of(line)
        if not is_whole or found is None:
            raise _error_in(line)
        if int(found[1]) > MAX_ROUND_ROWS:
            raise NotPossible(TOO_MANY)
        return int(found[1])


TOO_MANY: Final = "it has too many rows to be watched with others: select some, as with `ps --top 100`"


def _end_of(line: bytes) -> re.Match[bytes] | None:
    return _LAST.search(line[-_END_LENGTH:] + EOL)


def checked(row: bytes, node: int, are_processes: bool) -> bytes:
    """
    Return ``row``, which may be passed on.

    :param row: as in `NodeRound.rows`. :param node: who sent it. :param are_processes: whether it is of `ps`.
    :raises MalformedReply: it may not: it is not one JSON object of plain text, or pretends to be of
        another node.
    """
    if len(row) > MAX_ROW_BYTES:
        raise _malformed("a row that is too long", row)
    if row.translate(None, _PLAIN):
        raise _malformed("a row with characters that are not plain", row)
    values: Any = None
    if row.endswith(b", "):
        with suppress(MalformedReply):
            values = loads(f"{{{row[:-2].decode('ascii')}}}")
    if not isinstance(values, dict):
        raise _malformed("a row that is no JSON object", row)
    if not _OURS.isdisjoint(values):
        raise _malformed("a row with a name that only the asked daemon gives", row)
    if are_processes and "node" in values and node not in (values["node"], values.get("home", node)):
        raise _malformed("a process of another node", row)
    return row


def _error_in(line: bytes) -> Exception:
    """Return the error that the last line of an incomplete block says."""
    try:
        found = json.loads(line)
        error: RequestError | NodeError = error_for(int(found["code"]), str(found["error"]))
        return error
    except (ValueError, RecursionError, TypeError, KeyError):
        return _malformed("a line that is no row of a watch", line)


def _malformed(what: str, data: bytes) -> MalformedReply:
    return MalformedReply(f"{what}: {data[:_SHOWN]!r}")
