"""The block of another node's answer: whoever takes it, or does not, its stream ends or is kept."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.peer_blocks import rows_of_block
from libgomd.connection import LineConnection
from libgomd.row_queue import PieceQueue
from libgomd.wire.lines import Request


class BlockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.transport, self.connection = StringTransport(), LineConnection()
        self.connection.makeConnection(self.transport)
        self.kept: list[LineConnection] = []

    def answer(self, rest: bytes) -> AsyncGenerator[Sequence[str], None]:
        """Return the block of an answer that begins with two lines."""
        self.connection.dataReceived(b"220 gomd\r\n")
        rows = PieceQueue(self.connection)
        self.connection.send(Request("do", ("slow",)), rows)
        self.connection.dataReceived(b"201 slow runs\r\na\r\nb\r\n" + rest)
        return rows_of_block(self.connection, rows, self.kept.append)

    def test_a_whole_block_leaves_a_stream_that_can_be_used(self) -> None:
        """It is handed on, once."""
        block = self.answer(b".\r\n")
        self.assertEqual([*self.successResultOf(Deferred.fromCoroutine(anext(block)))], ["a", "b"])
        self.failureResultOf(Deferred.fromCoroutine(anext(block)), StopAsyncIteration)
        self.successResultOf(Deferred.fromCoroutine(block.aclose()))
        del block
        gc.collect()
        self.assertEqual(self.kept, [self.connection])
        self.assertFalse(self.transport.disconnecting)

    def test_who_stops_in_the_middle_ends_the_stream(self) -> None:
        """The other node then ends what it does for this answer."""
        block = self.answer(b"")
        self.successResultOf(Deferred.fromCoroutine(anext(block)))
        self.successResultOf(Deferred.fromCoroutine(block.aclose()))
        self.assertTrue(self.transport.disconnecting)

    def test_who_takes_nothing_ends_the_stream(self) -> None:
        """Whether the block is closed or just forgotten, and though more of it may come."""
        self.successResultOf(Deferred.fromCoroutine(self.answer(b"").aclose()))
        self.assertTrue(self.transport.disconnecting)
        self.setUp()
        self.answer(b".\r\n")
        gc.collect()
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.kept, [])
