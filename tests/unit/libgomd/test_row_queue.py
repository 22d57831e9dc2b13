"""Rows of a reply that nobody takes: the connection is paused before they are too many, or too long."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport

from libgomd.connection import LineConnection
from libgomd.row_queue import RowQueue
from libgomd.wire.lines import Request


def result_of(work: Coroutine[Any, Any, Any]) -> Any:
    found: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(found.append)
    return found[0]


@pytest.mark.parametrize(("length", "most"), [(10, 512), (100_000, 50), (5 << 20, 1)])
def test_what_nobody_takes_is_bounded(length: int, most: int) -> None:
    """By the lines or by their characters, and it goes on when all of them were taken."""
    transport, connection = StringTransport(), LineConnection()
    connection.makeConnection(transport)
    connection.dataReceived(b"220 gomd\r\n")
    rows = RowQueue(connection)
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
        taken = 0
        while taken < came:
            taken += len(result_of(rows.several(100)))
        assert transport.producerState == "paused"
        waiting = Deferred.fromCoroutine(rows.next())
        assert transport.producerState == "producing"
        connection.dataReceived(b"y\r\n")
        assert result_of(_of(waiting)) == "y"


async def _of(waited: Deferred[Any]) -> Any:
    return await waited
