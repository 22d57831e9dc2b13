"""What of a reply nobody takes: the connection is paused before there is too much of it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport

from libgomd.connection import LineConnection
from libgomd.row_queue import PieceQueue, RowQueue
from libgomd.wire.lines import Request


def result_of(work: Coroutine[Any, Any, Any]) -> Any:
    found: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(found.append)
    return found[0]


@pytest.mark.parametrize(("kind", "length", "most"), [
    (RowQueue, 10, 512), (RowQueue, 100_000, 50), (RowQueue, 5 << 20, 1),
    (PieceQueue, 10, 8), (PieceQueue, 1 << 20, 4), (PieceQueue, 5 << 20, 1),
])  # fmt: skip
def test_what_nobody_takes_is_bounded(kind: type[RowQueue | PieceQueue], length: int, most: int) -> None:
    """By the number of parts or by their length, and it goes on when all of them were taken."""
    transport, connection = StringTransport(), LineConnection()
    connection.makeConnection(transport)
    connection.dataReceived(b"220 gomd\r\n")
    rows = kind(connection)
    connection.send(Request("ps", ()), rows)
    connection.dataReceived(b"201 rows\r\n")
    line = b"x" * length + b"\r\n"
    for _round in range(3):
        came = 0
        while transport.producerState == "producing":
            connection.dataReceived(line)
            came += 1
            assert came <= most
        assert came >= most // 2
        for _part in range(came):
            assert result_of(rows.next())
        assert transport.producerState == "paused"
        waiting = Deferred.fromCoroutine(rows.next())
        assert transport.producerState == "producing"
        connection.dataReceived(b"y\r\n")
        assert result_of(_of(waiting)) in ("y", b"y\r\n")


async def _of(waited: Deferred[Any]) -> Any:
    return await waited
