"""What a verb answers, before it is known in which format and over which way in it leaves."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Column:
    """
    One column of a text table.

    :ivar heading: in capitals, as ps has it. :ivar width: characters it is given; a longer cell
        pushes the rest of its row. :ivar left: aligned left, as names are; numbers go right.
    :ivar cell: the text of a row in this column.
    """

    heading: str
    width: int
    cell: Callable[[Any], str]
    left: bool = False


@dataclass(frozen=True, slots=True)
class ValueReply:
    """One line, code 200. ``value`` is what it says in json."""

    text: str
    value: object = None


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Code 221: the connection ends after it."""

    text: str = "bye"


@dataclass(frozen=True, slots=True)
class Rows:
    """
    A block, code 201: values of the model, as text columns or as JSON objects.

    :ivar rows: a sequence, or an async iterator of rows that come one by one.
    :ivar columns: empty when a row is its own text (what a command prints).
    :ivar lasts: it goes on until the caller says more, as `Rounds` does.
    :ivar needs_caller: it is stopped as soon as the caller has hung up, even on one side.
    """

    text: str
    rows: Sequence[Any] | AsyncGenerator[Any, None]
    columns: tuple[Column, ...]
    lasts: bool = False
    needs_caller: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """A file of the tree: a block of its lines in text, one object in json."""

    path: str
    lines: Sequence[str]


class OneRound(Protocol):
    """One answer of a verb that is asked again and again."""

    def pieces(self, number: int) -> Iterator[list[str]]:
        """Yield its lines in the caller's format, some at a time; it is this caller's ``number``th."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """A block that lasts: the answers of one verb, again and again, until the caller says more."""

    text: str
    answers: AsyncGenerator[OneRound, None]


@dataclass(frozen=True, slots=True)
class Relayed:
    """
    What another node answered, in the caller's format already.

    :ivar pieces: the lines of its block, some at a time; None without a block.
    :ivar lasts: as in `Rows`; ``needs_caller`` likewise.
    """

    code: int
    text: str
    pieces: AsyncGenerator[list[str], None] | None
    lasts: bool = False
    needs_caller: bool = False


@dataclass(frozen=True, slots=True)
class Upgrade:
    """
    Code 202: from here on the connection carries frames, no lines.

    :ivar take: is given the connection, a `gomd.jobs.lifecycle.frame_stream.FrameStream`.
    """

    text: str
    take: Callable[[Any], None]


Reply = ValueReply | Goodbye | Rows | File | Rounds | Relayed | Upgrade


def goes_on(reply: Reply) -> bool:
    """Whether the reply lasts until the caller says something more."""
    return isinstance(reply, Rounds) or (isinstance(reply, (Rows, Relayed)) and reply.lasts)


def needs_caller(reply: Reply) -> bool:
    """Whether the reply is to be stopped when the caller hangs up."""
    return isinstance(reply, (Rows, Relayed)) and reply.needs_caller


#: What a verb gives: at once where it can, so that the short answers cost no Deferred.
Replying = Reply | Awaitable[Reply]
