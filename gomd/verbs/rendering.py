"""Renders replies as lines of text or JSON."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any

from gomd.verbs.replies import (
    File,
    Goodbye,
    Prepared,
    Relayed,
    Reply,
    Rows,
    TextColumn,
    Upgrade,
    ValueReply,
    WatchReply,
)
from libgomd.model import Output
from libgomd.wire.lines import BLOCK, BYE, FRAMES, OK
from libgomd.wire.text import printable
from libgomd.wire.values import dumps, encode

#: Rows that are rendered without a pause, about a millisecond's work: a process as JSON takes 60 us.
ROWS_PER_CHUNK = 20
#: Lines that need no rendering and are passed on without a pause.
LINES_PER_CHUNK = 500

Lines = Sequence[str]


def status_of(reply: Reply, json: bool) -> tuple[int, str]:
    """Return the code and text of the status line."""
    if isinstance(reply, ValueReply):
        return OK, dumps(reply.value) if json else reply.text
    if isinstance(reply, Goodbye):
        return BYE, reply.text
    if isinstance(reply, Relayed):
        return reply.code, reply.text
    if isinstance(reply, Upgrade):
        return FRAMES, reply.text
    if isinstance(reply, File):
        if json:
            return OK, dumps({"path": reply.path, "text": "\n".join(reply.lines)})
        return BLOCK, f"{len(reply.lines)} lines of {reply.path}"
    return BLOCK, reply.text


def whole_block(reply: Reply, json: bool) -> Lines | None:
    """Return the lines of a block that is small and complete; None if it has to be rendered in pieces."""
    if isinstance(reply, Rows) and isinstance(reply.rows, Sequence) and len(reply.rows) <= ROWS_PER_CHUNK:
        return [line for chunk in _table(reply.columns, reply.rows, json) for line in chunk]
    if isinstance(reply, File) and len(reply.lines) <= ROWS_PER_CHUNK:
        return list(reply.lines)
    return None


async def pieces(reply: Reply, json: bool) -> AsyncGenerator[Lines, None]:
    """
    Yield the lines of a block in pieces of about a millisecond's work.

    The code that iterates may wait between two pieces as long as it likes. Closing the iterator closes what
    the reply itself iterates over.
    """
    if isinstance(reply, WatchReply):
        source = _rounds(reply)
    elif isinstance(reply, Relayed):
        if reply.pieces is None:
            return
        source = reply.pieces
    elif isinstance(reply, Rows) and not isinstance(reply.rows, Sequence):
        source = _one_by_one(reply, json)
    else:
        for chunk in _complete(reply, json):
            yield chunk
        return
    try:
        async for chunk in source:
            yield chunk
    finally:
        await source.aclose()


def _complete(reply: Reply, json: bool) -> Iterator[Lines]:
    if isinstance(reply, Prepared):
        for at in range(pieces_in(reply, json)):
            yield piece_of(reply, json, at)
    elif isinstance(reply, File):
        for start in range(0, len(reply.lines), ROWS_PER_CHUNK):
            yield list(reply.lines[start : start + ROWS_PER_CHUNK])
    elif isinstance(reply, Rows):
        assert isinstance(reply.rows, Sequence)
        yield from _table(reply.columns, reply.rows, json)


def _table(columns: tuple[TextColumn, ...], rows: Sequence[Any], json: bool) -> Iterator[Lines]:
    """Yield the rows in chunks; in text with a heading first."""
    if json:
        for start in range(0, len(rows), ROWS_PER_CHUNK):
            yield [dumps(encode(row)) for row in rows[start : start + ROWS_PER_CHUNK]]
        return
    if len(rows) <= ROWS_PER_CHUNK:  # few enough to measure the width of every column
        cells = [[column.cell(row) for column in columns] for row in rows]
        widths = [
            max([len(column.heading), *(len(row[at]) for row in cells)]) for at, column in enumerate(columns)
        ]
        yield [_heading(columns, widths), *(_joined(columns, widths, row) for row in cells)]
        return
    widths = [column.width for column in columns]
    yield [_heading(columns, widths)]
    for start in range(0, len(rows), ROWS_PER_CHUNK):
        yield [
            _joined(columns, widths, [column.cell(row) for column in columns])
            for row in rows[start : start + ROWS_PER_CHUNK]
        ]


def _heading(columns: tuple[TextColumn, ...], widths: list[int]) -> str:
    return _joined(columns, widths, [column.heading for column in columns])


def _joined(columns: tuple[TextColumn, ...], widths: list[int], cells: list[str]) -> str:
    line = " ".join(
        cell.ljust(width) if column.left else cell.rjust(width)
        for column, width, cell in zip(columns, widths, cells, strict=True)
    ).rstrip()
    # `! CODE TEXT` says that a block could not be completed, and an empty line that a round of a watch is
    # over: what a process is called must not say so.
    if line.startswith("! "):
        return f"\\x21{line[1:]}"
    return line or ("\\x20" if cells else "")


async def _one_by_one(reply: Rows, json: bool) -> AsyncGenerator[Lines, None]:
    """Yield rows as they come, such as events or the output of a command."""
    assert not isinstance(reply.rows, Sequence)
    widths = [column.width for column in reply.columns]
    if reply.columns and not json:
        yield [_heading(reply.columns, widths)]
    try:
        async for row in reply.rows:
            if json:
                yield [dumps(encode(row))]
            elif isinstance(row, Output):
                yield [f"exit {row.exit}" if row.line is None else printable(row.line)]
            else:
                yield [_joined(reply.columns, widths, [column.cell(row) for column in reply.columns])]
    finally:
        await reply.rows.aclose()


async def _rounds(reply: WatchReply) -> AsyncGenerator[Lines, None]:
    """Yield one round after the other, with an empty line between them in text, and numbered in JSON."""
    number = 0
    try:
        async for answer in reply.answers:
            number += 1
            for chunk in answer.pieces(number):
                yield chunk
    finally:
        await reply.answers.aclose()


def rows_in(answer: Reply) -> int:
    """Return how many rows one round of a watch has; 1 if it is not a table."""
    if isinstance(answer, Prepared):
        return len(answer.lines)
    return len(answer.rows) if isinstance(answer, Rows) and isinstance(answer.rows, Sequence) else 1


def pieces_in(answer: Reply, json: bool) -> int:
    """Return how many pieces `piece_of` makes of one round of a watch."""
    if isinstance(answer, Prepared):
        return -(-len(answer.lines) // LINES_PER_CHUNK)
    if isinstance(answer, File):
        return 1 if json else -(-len(answer.lines) // ROWS_PER_CHUNK)
    if not isinstance(answer, Rows):
        return 1
    chunks = -(-rows_in(answer) // ROWS_PER_CHUNK)
    if json:
        return chunks
    return chunks + 1 if chunks > 1 else 1  # the heading is a piece of its own, unless there is only one


def piece_of(answer: Reply, json: bool, at: int) -> Lines:
    """
    Return one piece of one round of a watch, about a millisecond's work.

    :param at: which piece, from 0. Together they have the same lines as the answer to the verb itself.
    """
    if isinstance(answer, Prepared):
        return answer.lines[at * LINES_PER_CHUNK : (at + 1) * LINES_PER_CHUNK]
    if isinstance(answer, File):
        if json:
            return [dumps({"path": answer.path, "text": "\n".join(answer.lines)})]
        return list(answer.lines[at * ROWS_PER_CHUNK : (at + 1) * ROWS_PER_CHUNK])
    if isinstance(answer, ValueReply):
        return [dumps({"value": answer.value}) if json else answer.text]
    assert isinstance(answer, Rows)
    assert isinstance(answer.rows, Sequence)
    rows = answer.rows
    if json:
        return [dumps(encode(row)) for row in rows[at * ROWS_PER_CHUNK : (at + 1) * ROWS_PER_CHUNK]]
    if len(rows) <= ROWS_PER_CHUNK:
        return [line for chunk in _table(answer.columns, rows, json) for line in chunk]
    widths = [column.width for column in answer.columns]
    if at == 0:
        return [_heading(answer.columns, widths)]
    return [
        _joined(answer.columns, widths, [column.cell(row) for column in answer.columns])
        for row in rows[(at - 1) * ROWS_PER_CHUNK : at * ROWS_PER_CHUNK]
    ]
