"""The block of a reply over a stream of another node, as the lines that a verb passes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from gomd.verbs.quotas import ReleasingRows
from libgomd.connection import LineConnection
from libgomd.row_queue import PieceQueue
from libgomd.wire.block_bytes import pieces_of


def rows_of_block(
    connection: LineConnection, rows: PieceQueue, done: Callable[[LineConnection], None]
) -> AsyncGenerator[Sequence[str], None]:
    """
    Return the lines of a block; at its end ``done`` gets the stream, which is aborted when something is left.

    That is so as well if nobody has taken a line: closing a generator that has not begun runs none of it.
    """
    begun = whole = False

    async def lines() -> AsyncGenerator[Sequence[str], None]:
        nonlocal begun, whole
        begun = True
        try:
            while data := await rows.next():
                for some in pieces_of(data):
                    yield some
            whole = True
        finally:
            end()

    def end() -> None:
        rows.abandon()
        if whole:
            connection.pause(False)
            done(connection)
        else:
            connection.abort()

    def release() -> None:
        nonlocal begun
        if not begun:
            begun = True
            end()

    return ReleasingRows(lines(), release)
