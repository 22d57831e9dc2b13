"""The streams to other nodes' daemons on which messages about migrations come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from gomd.interfaces import IMembership, IPeers
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.migration.messages import MessageReader, MigrationMessage, encode_message
from libgomd.errors import GomdError, PeerUnreachable
from libgomd.model import Caller, Node, Role
from libgomd.wire.frames import Frame, MalformedFrame
from libgomd.wire.lines import Request

#: What a daemon says on a stream that becomes one of messages.
VERB = "migration"
#: Whom it says it for: for itself.
DAEMON = Caller(Role.ADMIN, "root", 0, "migration")


class Channels:
    """
    One stream to each node that something goes to, and one from each that something comes from.

    The source of a migration opens the stream for it and closes it when all is settled: so no daemon closes
    one that the other has just begun to use. A message to a node that cannot be reached is dropped, and a
    stream is opened for the next one.

    :param heard: called with each message and what answers it on the same stream.
    :param cut: called with a node id when the last stream to that node broke that was opened here (True), or
        there (False).
    :param connected: called with a node id when there is a stream to it again.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        members: IMembership,
        peers: IPeers,
        heard: Callable[[MigrationMessage, Callable[[MigrationMessage], None]], None],
        cut: Callable[[int, bool], None],
        connected: Callable[[int], None],
    ) -> None:
        self._members = members
        self._peers = peers
        self._heard = heard
        self._cut = cut
        self._connected = connected
        self._streams: dict[int, list[FrameStream]] = {}
        self._ours: set[FrameStream] = set()
        self._unknown: set[FrameStream] = set()
        self._reaching: set[int] = set()
        self._closed = False

    # -- streams

    def join(self, stream: FrameStream, node_id: int, ours: bool = False) -> None:
        """
        Take a stream that another daemon has opened.

        It is written to from the first message on that belongs to a migration: one that was opened for a
        question is for the answer to that alone.

        :param node_id: whose, as its certificate says.
        :param ours: this daemon opened it, and may write to it at once.
        """
        if self._closed:
            stream.close()
            return
        reader = MessageReader()

        def take(frame: Frame) -> None:
            for message in reader.feed(frame):
                if message.origin != node_id:
                    raise MalformedFrame(f"node {node_id} writes in the name of node {message.origin}")
                if stream in self._unknown and message.kind is not None:
                    self._unknown.discard(stream)
                    self._add(node_id, stream)
                self._heard(message, lambda answer: stream.send(encode_message(answer)))

        def lost() -> None:
            self._unknown.discard(stream)
            self._lost(node_id, stream)

        if ours:
            self._ours.add(stream)
            self._add(node_id, stream)
        else:
            self._unknown.add(stream)
        stream.pause_reading(False)
        stream.listen(take, lost)

    def _add(self, node_id: int, stream: FrameStream) -> None:
        self._streams.setdefault(node_id, []).append(stream)
        self._connected(node_id)

    def _lost(self, node_id: int, stream: FrameStream) -> None:
        streams, ours = self._streams.get(node_id, []), stream in self._ours
        self._ours.discard(stream)
        if stream in streams:
            streams.remove(stream)
            if not streams:
                del self._streams[node_id]
            if self._stream(node_id, ours, only=True) is None:
                self._cut(node_id, ours)

    def _stream(self, node_id: int, ours: bool, only: bool = False) -> FrameStream | None:
        """Return the newest stream to a node that was opened here (or there), or any but for ``only``."""
        streams = self._streams.get(node_id, [])
        for stream in reversed(streams):
            if (stream in self._ours) == ours:
                return stream
        return streams[-1] if streams and not only else None

    async def connect(self, node: Node) -> None:
        """
        Have a stream to ``node`` that was opened here.

        :raises GomdError: it cannot be reached, or said no.
        """
        if self._stream(node.id, ours=True, only=True) is not None:
            return
        stream = await self._peers.open(node, Request(VERB), DAEMON)
        if self._closed:
            stream.close()
            raise PeerUnreachable("gomd stops")
        self.join(stream, node.id, ours=True)

    async def open_other(self, node: Node, request: Request, caller: Caller) -> FrameStream:
        """Open a stream for a question of its own. Errors as in `connect`."""
        stream = await self._peers.open(node, request, caller)
        assert isinstance(stream, FrameStream)
        return stream

    # -- messages

    def send(self, node_id: int, message: MigrationMessage, ours: bool) -> bool:
        """
        Send a message, or drop it and see to a stream for the next one.

        :param ours: it is about a job that leaves here. :returns: whether it went out.
        """
        if (stream := self._stream(node_id, ours)) is not None:
            stream.send(encode_message(message))
            return True
        if not self._closed:
            self._reach(node_id)
        return False

    def _reach(self, node_id: int) -> None:
        async def reach() -> None:
            self._reaching.add(node_id)
            try:
                await self.connect(self._members.find(str(node_id)))
            except GomdError as error:
                self._log.debug("node {node} is not reached now: {error}", node=node_id, error=error)
            finally:
                self._reaching.discard(node_id)

        if node_id not in self._reaching:
            Deferred.fromCoroutine(reach()).addErrback(
                lambda failure: self._log.failure("connecting failed", failure=failure)
            )

    def drop(self, node_id: int) -> None:
        """Close what was opened here to a node, after what was sent: nothing that leaves is to be settled."""
        streams = self._streams.get(node_id, [])
        for stream in [stream for stream in streams if stream in self._ours]:
            self._ours.discard(stream)
            streams.remove(stream)
            stream.close()
        if not streams:
            self._streams.pop(node_id, None)

    def abort(self, node_id: int) -> None:
        """The node went down: its streams are of no more use."""
        for stream in tuple(self._streams.get(node_id, ())):
            stream.abort()

    def open(self) -> None:
        """Begin, or begin again."""
        self._closed = False

    def close(self) -> None:
        """Close all streams; nobody is told."""
        self._closed = True
        for streams in self._streams.values():
            for stream in streams:
                stream.close()
        for stream in self._unknown:
            stream.close()
        self._streams.clear()
        self._ours.clear()
        self._unknown.clear()
