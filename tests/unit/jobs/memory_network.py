"""Connections in memory: what is written waits until the test delivers it, or cuts the connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.testing import StringTransport

from gomd.jobs.lifecycle.frame_stream import FrameStream


class Link(StringTransport):
    """One end of a connection. What is written waits until the network delivers it."""

    def __init__(self, owner: object) -> None:
        super().__init__()
        self.owner = owner
        self.stream = FrameStream()
        self.outbox: deque[bytes] = deque()
        self.far: Link
        self.cut = False

    def write(self, data: bytes) -> None:
        if not self.disconnecting:
            self.outbox.append(bytes(data))

    def abortConnection(self) -> None:
        super().abortConnection()
        self.cut = True


class Network:
    """
    Every connection there is.

    :ivar delivered: how many pieces were handed on. :ivar at: called before each of them is.
    """

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.delivered = 0
        self.at: Callable[[int, Link], None] = lambda _count, _link: None

    def connect(self, near: object, far: object) -> tuple[FrameStream, FrameStream]:
        """Return both ends of a new connection."""
        ends = Link(near), Link(far)
        ends[0].far, ends[1].far = ends[1], ends[0]
        self.links += ends
        for end in ends:
            end.stream.makeConnection(end)
        return ends[0].stream, ends[1].stream

    def drop(self, owner: object) -> None:
        """Cut the connections of ``owner``, which is gone and hears of nothing any more."""
        for link in self.links:
            if link.owner is owner:
                link.stream = FrameStream()  # what it was hears nothing any more
                link.stream.gone = True
                link.cut = True

    def cut_between(self, one: object, other: object) -> None:
        """Break every connection between the two."""
        for link in self.links:
            if link.owner is one and link.far.owner is other:
                link.cut = True

    def step(self) -> bool:
        """Deliver one piece, or end one connection. :returns: whether there was anything to do."""
        for link in self.links:
            if link.cut or link.far.cut:
                self._end(link)
                return True
            if link.outbox and link.far.producerState == "producing":
                self.delivered += 1
                self.at(self.delivered, link)
                if not link.cut and not link.far.cut:
                    link.far.stream.dataReceived(link.outbox.popleft())
                return True
            if link.disconnecting and not link.outbox:
                self._end(link)
                return True
        return False

    def _end(self, link: Link) -> None:
        for end in (link, link.far):
            self.links.remove(end)
        for end in (link, link.far):
            end.stream.connectionLost()
