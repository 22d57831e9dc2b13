"""A watch of another node is taken as the bytes that come, from the first one behind the status line."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from gomd.protocols.followed_block import take_block
from libgomd.connection import LineConnection
from libgomd.errors import ConnectionLost, GomdError, MalformedReply, NotAllowed
from libgomd.replies import Reply
from libgomd.wire.lines import Request


class Stream:
    """An introduced stream to another node, which the test plays. :ivar taken: what came."""

    def __init__(self, introduction: int = 200) -> None:
        self.taken: list[bytes] = []
        self.opened = 0
        self.error: GomdError | None = None
        self.ended: list[object] = []
        self.transport = StringTransport()
        self.connection = LineConnection()
        self.connection.makeConnection(self.transport)
        self.connection.dataReceived(b"220 gomd 1 node 2 beta\r\n")
        self.task = Deferred.fromCoroutine(
            take_block(
                self.connection,
                Reply(introduction, "no"),
                Request("watch", ("load",)),
                self._open,
                self._take,
                lambda reply: reply,
            )
        )
        self.task.addBoth(self.ended.append)

    def _open(self) -> None:
        self.opened += 1

    def _take(self, data: bytes) -> None:
        self.taken.append(data)
        if self.error is not None:
            raise self.error

    @property
    def failure(self) -> type[BaseException] | None:
        return self.ended[0].type if self.ended and isinstance(self.ended[0], Failure) else None


@pytest.mark.parametrize("size", [1, 3, 100])
def test_every_byte_behind_the_status_line(size: int) -> None:
    """However the network cuts it; dots and line ends are left as they are."""
    stream = Stream()
    assert stream.transport.value() == b"watch load\r\n"
    data = b"201 watching\r\n{1}\r\n..\r\n.\r\n200 more\r\n"
    for at in range(0, len(data), size):
        stream.connection.dataReceived(data[at : at + size])
    assert b"".join(stream.taken) == data.partition(b"\r\n")[2]
    assert stream.opened == 1
    assert not stream.ended
    stream.connection.connectionLost(Failure(ConnectionDone()))
    assert stream.failure is ConnectionLost


def test_an_error_of_the_taker_ends_it() -> None:
    """Nothing more is taken."""
    stream = Stream()
    stream.error = MalformedReply("no round")
    stream.connection.dataReceived(b"201 watching\r\njunk\r\n")
    stream.connection.dataReceived(b"more\r\n")
    assert stream.failure is MalformedReply
    assert stream.taken == [b"junk\r\n"]
    assert stream.transport.disconnecting


@pytest.mark.parametrize(("reply", "error"), [(b"403 no\r\n", NotAllowed), (b"200 1\r\n", MalformedReply)])
def test_a_refusal(reply: bytes, error: type[Exception]) -> None:
    """Is the node's own."""
    stream = Stream()
    stream.connection.dataReceived(reply)
    assert stream.failure is error
    assert not stream.opened


def test_a_node_that_does_not_trust_us() -> None:
    """Nothing is asked of it."""
    stream = Stream(403)
    assert stream.failure is NotAllowed
    assert stream.transport.value() == b""


def test_who_is_no_longer_interested_closes_it() -> None:
    """The node is to stop."""
    stream = Stream()
    stream.connection.dataReceived(b"201 watching\r\n")
    stream.task.cancel()
    assert stream.failure is CancelledError
    assert stream.transport.disconnecting
