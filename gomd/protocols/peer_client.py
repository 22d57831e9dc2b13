"""The client of other nodes' daemons: questions go by datagram, all other requests over a stream."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from functools import partial
from typing import Final

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from gomd.interfaces import ForwardedReply, IPeers
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.protocols.followed_block import take_block
from gomd.protocols.fresh_streams import FreshStreams
from gomd.protocols.idle_streams import IdleStreams
from gomd.protocols.peer_blocks import rows_of_block
from gomd.protocols.peer_connections import GREETING_TIMEOUT, PeerConnections
from gomd.protocols.peer_server import behalf
from gomd.verbs.branches import DO, RELAY
from libgomd.answers import value_in, where_in
from libgomd.connection import LineConnection, WholeReply
from libgomd.errors import (
    ConnectionLost,
    GomdError,
    NotPossible,
    PeerUnreachable,
    error_for,
)
from libgomd.model import Caller, Counter, Node
from libgomd.questions import Asker
from libgomd.replies import Reply
from libgomd.row_queue import PieceQueue
from libgomd.wire.lines import BLOCK, OK, Request
from libgomd.wire.messages import MAX_PACKET, Answer, Question

#: Seconds that the first line of a reply may take.
REPLY_TIMEOUT = 60.0
#: Seconds for the verbs that reply only after they have moved one process, or all processes of a node.
REPLY_TIMEOUTS: Final = {"migrate": 900.0, "bring": 3600.0, "expel": 3600.0, "put": 3600.0, "carry": 900.0}
#: Verbs that change nothing, so that their request is sent again when a stream that was kept turns out to be
#: closed. Only these use kept streams.
REPEATABLE: Final = frozenset({
    "collect", "cpus", "doctor", "events", "get", "jobs", "load", "ls", "map", "mem", "node", "nodes", "ps",
    "relay", "speed", "stats", "status", "util", "version", "where", "whoami",
})  # fmt: skip


@implementer(IPeers)
class PeerClient:
    """
    Sends requests to the daemons of other nodes.

    :param connections: makes the streams to them. :param asker: asks them by datagram.
    """

    def __init__(self, clock: IReactorTime, asker: Asker, connections: PeerConnections) -> None:
        self._asker = asker
        self._connections = connections
        self._contact_of = connections.contact_of
        self._within = connections.within
        self._idle = IdleStreams(clock)
        self._fresh = FreshStreams(clock)
        self._asked = 0
        self._failed = 0

    # -- by datagram

    async def read(self, node: Node, path: str) -> bytes:
        """See `IPeers.read`."""
        contact = self._contact_of(node)
        question = Question(0, path, target=node.id, room=MAX_PACKET)
        answer = await self._asker.ask((contact.host, contact.port), question)
        data = value_in(answer)
        if isinstance(answer, Answer) and answer.truncated:
            raise NotPossible(f"{path} of node {node.id} does not fit into a datagram")
        return data

    async def cur_node(self, node: Node, pid: int) -> int:
        """See `IPeers.cur_node`."""
        contact = self._contact_of(node)
        question = Question(0, f"/proc/{pid}/where", target=node.id)
        return where_in(await self._asker.ask((contact.host, contact.port), question)) or node.id

    # -- over a stream

    async def ask(self, node: Node, request: Request, caller: Caller, json: bool) -> ForwardedReply:
        """See `IPeers.ask`."""
        self._asked += 1
        key = (node.id, self._contact_of(node), caller, json)
        kept = self._idle.take(key) if _is_repeatable(request) else None
        if kept is not None:
            try:
                return await self._request(node, kept, request, key)
            except ConnectionLost:
                pass  # the other node had closed it meanwhile
        connection, greeting = await self._introduced(node, caller, json)
        if greeting.code != OK:
            connection.close()
            return ForwardedReply(greeting.code, greeting.text, None)
        try:
            return await self._request(node, connection, request, key)
        except ConnectionLost as error:
            raise self._ended(node, error) from error

    async def _introduced(self, node: Node, caller: Caller, json: bool) -> tuple[LineConnection, Reply]:
        """Return a new stream and the answer to on whose behalf it is; `OK` when the node agrees."""
        try:
            connection = await self._connections.connect(node, self._contact_of(node))
        except GomdError:
            self._failed += 1
            raise
        try:
            welcome = WholeReply()
            connection.send(behalf(caller, json), welcome)
            return connection, await self._within(GREETING_TIMEOUT, welcome.done, node)
        except ConnectionLost as error:
            raise self._ended(node, error) from error
        except BaseException:
            connection.abort()
            raise

    def _ended(self, node: Node, error: ConnectionLost) -> PeerUnreachable:
        self._failed += 1
        return PeerUnreachable(f"node {node.id} {node.name} ended the stream: {error}")

    async def follow(
        self,
        node: Node,
        request: Request,
        caller: Caller,
        opened: Callable[[], None],
        take: Callable[[bytes], None],
    ) -> None:
        """See `IPeers.follow`."""
        self._asked += 1
        connection, reply = await self._introduced(node, caller, True)
        try:
            await take_block(
                connection, reply, request, opened, take, lambda d: self._within(REPLY_TIMEOUT, d, node)
            )
        except ConnectionLost as error:
            raise self._ended(node, error) from error
        finally:
            connection.abort()

    async def _request(
        self, node: Node, connection: LineConnection, request: Request, key: Hashable
    ) -> ForwardedReply:
        """
        Send a request over an introduced stream, which is kept under ``key`` after the reply if it may be.

        :raises ConnectionLost: the stream ended before the first line of the reply. Any error aborts it.
        """
        try:
            rows = PieceQueue(connection)
            connection.send(Request(request.verb, request.arguments), rows)
            limit = REPLY_TIMEOUTS.get(request.verb, REPLY_TIMEOUT)
            reply = await self._within(limit, rows.opened, node)
        except BaseException:
            connection.abort()
            raise
        done = partial(self._idle.keep, key) if _is_repeatable(request) else LineConnection.close
        if reply.code != BLOCK:
            done(connection)
            return ForwardedReply(reply.code, reply.text, None)
        return ForwardedReply(reply.code, reply.text, rows_of_block(connection, rows, done))

    async def open(self, node: Node, request: Request, caller: Caller) -> FrameStream:
        """See `IPeers.open`."""
        self._asked += 1
        contact = self._contact_of(node)
        key = (node.id, contact)
        stream: FrameStream | None = None
        if (fresh := self._fresh.take(key)) is not None:
            with suppress(ConnectionLost):  # the other node had closed it; nothing was begun there
                stream = await self._handed_over(node, fresh, request, caller)
        try:
            if stream is None:
                connection = await self._connections.connect(node, contact)
                stream = await self._handed_over(node, connection, request, caller)
        except ConnectionLost as error:
            raise self._ended(node, error) from error
        if request.verb == "run":
            self._fresh.prepare(key, lambda: self._connections.connect(node, contact), fresh is not None)
        return stream

    async def _handed_over(
        self, node: Node, connection: LineConnection, request: Request, caller: Caller
    ) -> FrameStream:
        """Introduce a stream and let ``request`` open it. :raises ConnectionLost: it ended before that."""
        answers = (WholeReply(), WholeReply())
        try:
            # Both at once: where the first one is refused, the other one is, too.
            for asked, answer in zip((behalf(caller, False), request), answers, strict=True):
                connection.send(asked, answer)
            for answer in answers:
                reply = await self._within(REPLY_TIMEOUT, answer.done, node)
                if reply.code >= 400:
                    raise error_for(reply.code, reply.text)
        except BaseException:
            connection.abort()
            raise
        finally:
            for answer in answers:
                answer.done.addErrback(lambda _failure: None)  # the first error is the one that is told
        stream = FrameStream()
        connection.hand_over(stream)
        return stream

    def counters(self) -> Iterable[Counter]:
        """See `IPeers.counters`."""
        yield Counter("streams_asked", self._asked, "requests forwarded to other nodes")
        yield Counter("streams_failed", self._failed, "of them, nodes that could not be reached")
        yield from self._connections.counters()


def _is_repeatable(request: Request) -> bool:
    """Return whether a request may be sent again. A command that a relay is to run may not."""
    return request.verb in REPEATABLE and not (request.verb == RELAY and DO in request.arguments[3:4])
