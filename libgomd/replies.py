"""
Decodes the JSON in replies into values, for single answers and for streams of answers.

This module does no I/O. The Deferred client and the blocking client both use it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from libgomd.errors import MalformedReply, error_for
from libgomd.wire import values
from libgomd.wire.lines import BLOCK, OK, Request
from libgomd.wire.text import printable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: Maximum size of a block, or of a round of a watch, in characters.
MAX_BLOCK: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply: the status line and the lines of its block."""

    code: int
    text: str
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """
    A request with one answer.

    :ivar decode: makes the answer from the JSON value of a 200, or from the list of values of a 201.
    :ivar block: whether the answer is a 201 with a block.
    :ivar patient: whether it may take long, so that a client waits without a timeout.
    :ivar order: whether the value of the answer is ignored, because only its success matters.
    """

    request: Request
    decode: Callable[[Any], T]
    block: bool = False
    patient: bool = False
    order: bool = False

    def result(self, reply: Reply) -> T:
        """
        Return the answer in ``reply``.

        :raises RequestError: the daemon refused. :raises NodeError: the node failed.
        :raises MalformedReply: the reply is not an answer to this request.
        """
        check(reply, BLOCK if self.block else OK, self.request)
        if self.block:
            return self.decode([row_in(row) for row in reply.rows])
        return self.decode(None if self.order or not reply.text else values.loads(reply.text))


class Assembler(Protocol[T_co]):
    """Makes values from the lines of a block as they arrive."""

    def feed(self, line: str) -> Sequence[T_co]:
        """
        Add one line, and return the values that it completes: none or one.

        :raises MalformedReply: the line does not belong to this stream.
        """


@dataclass(frozen=True, slots=True)
class Stream(Generic[T]):
    """
    A request with a stream of answers.

    :ivar start: makes the `Assembler` for one stream.
    """

    request: Request
    start: Callable[[], Assembler[T]]


def is_answer(code: int) -> bool:
    """
    Return whether a reply with this code answers, or refuses, a call at all.

    Behind any other one, such as the frames of a 202 or what a mail server says, a connection is of no use.
    """
    return code in (OK, BLOCK) or code >= 400


def check(reply: Reply, expected: int, request: Request) -> None:
    """
    Check that ``reply`` is an answer of the expected kind.

    :raises RequestError: the daemon refused. :raises NodeError: the node failed.
    :raises MalformedReply: the reply is of another kind.
    """
    if reply.code >= 400:
        raise error_for(reply.code, reply.text)
    if reply.code != expected:
        raise MalformedReply(f"{request.verb}: expected {expected}, got {reply.code} {reply.text[:80]}")


def row_in(line: str) -> Any:
    """
    Return the value in a line of a block.

    :raises MalformedReply: the line is not JSON.
    :raises RequestError: the line says that the daemon could not complete the block, and why.
    :raises NodeError: likewise, when the node failed.
    """
    row = values.loads(line)
    if isinstance(row, dict) and row.keys() == {"code", "error"} and isinstance(row["code"], int):
        raise error_for(row["code"], printable(str(row["error"])))
    return row


class Size:
    """Limits the size of one block or round."""

    def __init__(self, limit: int = MAX_BLOCK) -> None:
        self._limit = limit
        self._left = limit

    def add(self, line: str) -> None:
        """Count ``line``. :raises MalformedReply: the limit is exceeded."""
        self._left -= len(line)
        if self._left < 0:
            raise MalformedReply(f"a reply of more than {self._limit} characters")

    def reset(self) -> None:
        """Start again, for the next round."""
        self._left = self._limit


class EachRow(Generic[T]):
    """Decodes each line as one value."""

    def __init__(self, decode: Callable[[Any], T]) -> None:
        self._decode = decode

    def feed(self, line: str) -> Sequence[T]:
        """Return the value in ``line``."""
        return (self._decode(row_in(line)),)


class Rounds(Generic[T]):
    """
    Decodes the rounds of a watch. Each is what the watched call would have answered at that moment.

    Each row has ``rows``, the number of rows in its round. A round without rows is one object with 0.
    """

    def __init__(self, call: Call[T], limit: int = MAX_BLOCK) -> None:
        self._call = call
        self._rows: list[Any] = []
        self._size = Size(limit)

    def feed(self, line: str) -> Sequence[T]:
        """Return the round that ``line`` completes."""
        self._size.add(line)
        row = row_in(line)
        count = row.get("rows") if isinstance(row, dict) else None
        if not isinstance(count, int) or count < 0:
            raise MalformedReply(f"not a row of a watch: {line[:80]!r}")
        if not self._call.block:
            self._size.reset()
            return (self._call.decode(row.get("value", row)),)
        if count:
            self._rows.append(row)
        if len(self._rows) < count:
            return ()
        rows, self._rows = self._rows, []
        self._size.reset()
        return (self._call.decode(rows),)
