"""
What a reply means: the values in its JSON, for one answer and for answers that keep coming.

No I/O: the Deferred client and the blocking client both stand on this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from libgomd.errors import MalformedReply, error_for
from libgomd.wire import values
from libgomd.wire.lines import BLOCK, OK, Request

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: The largest block, or round of a watch, that a client takes, in characters.
MAX_BLOCK: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply: the status line and the lines of its block."""

    code: int
    text: str
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """
    A question with one answer.

    :ivar decode: makes the answer from the JSON value of a 200, or from the list of values of a 201.
    :ivar block: the answer is a 201 with its block.
    :ivar patient: it may rightly take long, so that a client waits without a limit.
    :ivar order: what matters is that it is done: the value of the answer is not looked at.
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
        :raises MalformedReply: it is no answer to this request.
        """
        check(reply, BLOCK if self.block else OK, self.request)
        if self.block:
            return self.decode([row_in(row) for row in reply.rows])
        return self.decode(None if self.order or not reply.text else values.loads(reply.text))


class Assembler(Protocol[T_co]):
    """Makes values from the lines of a block as they come."""

    def feed(self, line: str) -> Sequence[T_co]:
        """
        Take one line, and return the values that became complete with it: none or one.

        :raises MalformedReply: the line does not belong to this stream.
        """


@dataclass(frozen=True, slots=True)
class Stream(Generic[T]):
    """
    A question whose answers keep coming.

    :ivar start: makes the `Assembler` of one run of it.
    """

    request: Request
    start: Callable[[], Assembler[T]]


def check(reply: Reply, expected: int, request: Request) -> None:
    """
    See that ``reply`` is the sort of answer that ``request`` has.

    :raises RequestError: the daemon refused. :raises NodeError: the node failed.
    :raises MalformedReply: it is neither.
    """
    if reply.code >= 400:
        raise error_for(reply.code, reply.text)
    if reply.code != expected:
        raise MalformedReply(f"{request.verb}: expected {expected}, got {reply.code} {reply.text[:80]}")


def row_in(line: str) -> Any:
    """
    Return the value in a line of a block.

    :raises MalformedReply: it is not JSON.
    :raises RequestError: it is the line that ends a block which could not be completed; or `NodeError`.
    """
    row = values.loads(line)
    if isinstance(row, dict) and row.keys() == {"code", "error"} and isinstance(row["code"], int):
        raise error_for(row["code"], str(row["error"]))
    return row


class Size:
    """Counts what one block or round holds, and refuses what is too large to keep."""

    def __init__(self, limit: int = MAX_BLOCK) -> None:
        self._limit = limit
        self._left = limit

    def add(self, line: str) -> None:
        """Count ``line``. :raises MalformedReply: that is more than a client takes."""
        self._left -= len(line)
        if self._left < 0:
            raise MalformedReply(f"a reply of more than {self._limit} characters")

    def reset(self) -> None:
        """Begin again, for the next round."""
        self._left = self._limit


class EachRow(Generic[T]):
    """Every line is a value of its own."""

    def __init__(self, decode: Callable[[Any], T]) -> None:
        self._decode = decode

    def feed(self, line: str) -> Sequence[T]:
        """Return the value in ``line``."""
        return (self._decode(row_in(line)),)


class Rounds(Generic[T]):
    """
    The rounds of a watch: each is what the watched call would have answered at that moment.

    A row carries ``rows``, how many rows its round has; a round without any is one object with 0.
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
