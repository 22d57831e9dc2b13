"""The streams between this daemon and those of other nodes that carry migration messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from gomd.interfaces import IMembership, IPeers
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.migration.messages import MessageReader, MigrationMessage, encode_message
from libgomd.errors import GomdError, PeerUnreachable
from libgomd.model import Caller, Node, Role
from libgomd.wire.frames import Frame, MalformedFrame
from libgomd.wire.lines import Request

#: The request that turns a stream between daemons into one of migration messages.
VERB: Final = "migration"
#: On whose behalf it is sent: the daemon's own.
DAEMON: Final = Caller(Role.ADMIN, "root", 0, "migration")


class ChannelObserver(Protocol):
    """Takes what comes from other nodes on the channels, and what becomes of these."""

    def heard(self, message: MigrationMessage, answer: Callable[[MigrationMessage], None]) -> None:
        """
        Take a message.

        :param answer: sends a message on the stream on which this one came.
        :raises MalformedFrame: it is not what it should be; the stream is ended.
        """

    def cut(self, node: int, ours: bool) -> None:
        """Take note that the last stream of a node broke which was opened here (``ours``), or there."""

    def connected(self, node: int) -> None:
        """Take note that there is a stream to a node again."""


class Channels:
    """
    One stream to each node to which a job leaves, and one from each node from which a job comes.

    The source of a migration opens its stream and closes it when the migration is settled. So neither daemon
    closes a stream that the other has just begun to use. A message to a node that cannot be reached is
    dropped, and a stream is opened for the next message.

    :param observer: is told nothing before `join`, `connect` or `send` is called.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, members: IMembership, peers: IPeers, observer: ChannelObserver) -> None:
        self._members = members
        self._peers = peers
        self._observer = observer
        self._streams: dict[int, list[FrameStream]] = {}
        self._ours: set[FrameStream] = set()
        self._unknown: set[FrameStream] = set()
        self._connecting: set[int] = set()
        self._closed = False

    # -- streams

    def join(self, stream: FrameStream, node_id: int, ours: bool = False) -> None:
        """
        Read the messages that come on a stream.

        On a stream that the other daemon opened, nothing but answers is sent until a message of a migration
        has come: it may have been opened for a single question.

        :param node_id: the other node, as its certificate says.
        :param ours: whether this daemon opened the stream.
        """
        if self._closed:
            stream.close()
            return
        reader = MessageReader()

        def take(frame: Frame) -> None:
            for message in reader.feed(frame):
                if message.origin != node_id:
                    raise MalformedFrame(
                        f"node {node_id} sent a message in the name of node {message.origin}"
                    )
                if stream in self._unknown and message.kind is not None:
                    self._unknown.discard(stream)
                    self._add(node_id, stream)
                self._observer.heard(message, lambda answer: stream.send(encode_message(answer)))

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
        self._observer.connected(node_id)

    def _lost(self, node_id: int, stream: FrameStream) -> None:
        streams, ours = self._streams.get(node_id, []), stream in self._ours
        self._ours.discard(stream)
        if stream in streams:
            streams.remove(stream)
            if not streams:
                del self._streams[node_id]
            if self._stream(node_id, ours, only=True) is None:
                self._observer.cut(node_id, ours)

    def _stream(self, node_id: int, ours: bool, only: bool = False) -> FrameStream | None:
        """
        Return the newest stream of a node that was opened here (``ours``), or there.

        :param only: return None, and not one that was opened by the other side, when there is none of these.
        """
        streams = self._streams.get(node_id, [])
        for stream in reversed(streams):
            if (stream in self._ours) == ours:
                return stream
        return streams[-1] if streams and not only else None

    async def connect(self, node: Node) -> None:
        """
        Open a stream to ``node``, if there is none yet that was opened here.

        :raises GomdError: the node cannot be reached, or refused it.
        """
        if self._stream(node.id, ours=True, only=True) is not None:
            return
        stream = await self._peers.open(node, Request(VERB), DAEMON)
        if self._closed:
            stream.close()
            raise PeerUnreachable("this daemon is stopping")
        self.join(stream, node.id, ours=True)

    async def open_other(self, node: Node, request: Request, caller: Caller) -> FrameStream:
        """Open a stream for a single request. Errors as in `connect`."""
        stream = await self._peers.open(node, request, caller)
        assert isinstance(stream, FrameStream)
        return stream

    # -- messages

    def send(self, node_id: int, message: MigrationMessage, ours: bool) -> bool:
        """
        Send a message, or drop it and open a stream for the next one.

        :param ours: whether it is about a job that leaves this node. :returns: whether it was sent.
        """
        if (stream := self._stream(node_id, ours)) is not None:
            stream.send(encode_message(message))
            return True
        if not self._closed:
            self._connect_later(node_id)
        return False

    def _connect_later(self, node_id: int) -> None:
        async def connect() -> None:
            self._connecting.add(node_id)
            try:
                await self.connect(self._members.find(str(node_id)))
            except GomdError as error:
                self._log.debug("node {node} cannot be reached now: {error}", node=node_id, error=error)
            finally:
                self._connecting.discard(node_id)

        if node_id not in self._connecting:
            Deferred.fromCoroutine(connect()).addErrback(
                lambda failure: self._log.failure("connecting failed", failure=failure)
            )

    def drop(self, node_id: int) -> None:
        """Close the streams to a node that were opened here, after what was sent: no job leaves to it now."""
        streams = self._streams.get(node_id, [])
        for stream in [stream for stream in streams if stream in self._ours]:
            self._ours.discard(stream)
            streams.remove(stream)
            stream.close()
        if not streams:
            self._streams.pop(node_id, None)

    def abort(self, node_id: int) -> None:
        """Break the streams of a node that went down."""
        for stream in tuple(self._streams.get(node_id, ())):
            stream.abort()

    def open(self) -> None:
        """Open streams from now on, also after `close`."""
        self._closed = False

    def close(self) -> None:
        """Close all streams, and open no more. Nothing is called for that."""
        self._closed = True
        for streams in self._streams.values():
            for stream in streams:
                stream.close()
        for stream in self._unknown:
            stream.close()
        self._streams.clear()
        self._ours.clear()
        self._unknown.clear()
