"""The replies of verbs as values, independent of the format and of the way in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class TextColumn:
    """
    One column of a text table.

    :ivar heading: in capitals, as in ps(1). :ivar width: in characters; a longer cell moves the rest of its
        row to the right. :ivar left: aligned to the left, as names are, and numbers are not.
    :ivar cell: gives the text of a row in this column.
    """

    heading: str
    width: int
    cell: Callable[[Any], str]
    left: bool = False


@dataclass(frozen=True, slots=True)
class ValueReply:
    """One line, code 200. ``value`` is what is sent in JSON."""

    text: str
    value: object = None


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Code 221: the connection is closed after it."""

    text: str = "bye"


@dataclass(frozen=True, slots=True)
class Rows:
    """
    A block, code 201: values of the model, as text columns or as JSON objects.

    :ivar rows: a sequence, or an async iterator of rows that come one by one.
    :ivar columns: empty if a row is its own text, as the output of a command is.
    :ivar lasts: it goes on until the caller's next request, as `WatchReply` does.
    :ivar needs_caller: it ends as soon as the caller has closed the connection, even its sending side only.
    :ivar matched: how many rows there are of which these are the first, told in the rounds of a watch; None
        where that is not told.
    """

    text: str
    rows: Sequence[Any] | AsyncGenerator[Any, None]
    columns: tuple[TextColumn, ...]
    lasts: bool = False
    needs_caller: bool = False
    matched: int | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file of the tree: a block of its lines in text, one object in JSON."""

    path: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One round of a watch of several nodes: a block of lines that are in the caller's format already."""

    text: str
    lines: Sequence[str]


class OneRound(Protocol):
    """One round of a watch."""

    def pieces(self, number: int) -> Iterator[Sequence[str]]:
        """Yield its lines in the caller's format, some at a time; it is this caller's round ``number``."""

    async def body(self, clock: Any, made: Callable[[str], B]) -> B:
        """Return it as one JSON object, which ``made`` makes once for all viewers."""


@dataclass(frozen=True, slots=True)
class WatchReply:
    """The reply to `watch`: a block of rounds that goes on until the caller's next request."""

    text: str
    answers: AsyncGenerator[OneRound, None]


@dataclass(frozen=True, slots=True)
class Relayed:
    """
    The reply of another node, already in the caller's format.

    :ivar pieces: the lines of its block, some at a time; None without a block.
    :ivar lasts: as in `Rows`; ``needs_caller`` likewise.
    """

    code: int
    text: str
    pieces: AsyncGenerator[Sequence[str], None] | None
    lasts: bool = False
    needs_caller: bool = False


@dataclass(frozen=True, slots=True)
class Upgrade:
    """
    Code 202: after it the connection carries frames instead of lines.

    :ivar take: called with the connection, a `gomd.jobs.lifecycle.frame_stream.FrameStream`.
    """

    text: str
    take: Callable[[Any], None]


Reply = ValueReply | Goodbye | Rows | File | Prepared | WatchReply | Relayed | Upgrade


def goes_on(reply: Reply) -> bool:
    """Return whether the reply goes on until the caller's next request."""
    return isinstance(reply, WatchReply) or (isinstance(reply, (Rows, Relayed)) and reply.lasts)


def needs_caller(reply: Reply) -> bool:
    """Return whether the reply has to end when the caller closes the connection."""
    return isinstance(reply, (Rows, Relayed)) and reply.needs_caller


#: What a verb returns: the reply itself where possible, so that short answers need no Deferred.
Replying = Reply | Awaitable[Reply]
