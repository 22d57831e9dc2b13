"""The client of other nodes' daemons: questions go by datagram, all other requests over a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from zope.interface import implementer

from gomd.interfaces import ForwardedReply, IPeers
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.protocols.followed_block import take_block
from gomd.protocols.fresh_streams import FreshStreams
from gomd.protocols.idle_streams import IdleStreams
from gomd.protocols.open_streams import OpenStreams
from gomd.protocols.peer_server import behalf
from gomd.verbs.branches import DO, RELAY
from gomd.verbs.quotas import ReleasingRows
from libgomd.answers import value_in, where_in
from libgomd.certificates import NotANode
from libgomd.connection import LineConnection, WholeReply
from libgomd.deadlines import within
from libgomd.errors import (
    ConnectionLost,
    GomdError,
    NotPossible,
    PeerUnreachable,
    TimedOut,
    error_for,
)
from libgomd.model import Caller, Counter, Node
from libgomd.questions import Asker
from libgomd.replies import Reply
from libgomd.row_queue import PieceQueue
from libgomd.tls import peer_node
from libgomd.wire.addresses import is_ipv6
from libgomd.wire.block_bytes import pieces_of
from libgomd.wire.lines import BLOCK, OK, Request
from libgomd.wire.messages import MAX_PACKET, Answer, Question

T = TypeVar("T")

#: Seconds that a connection, the greeting on it, and the first line of a reply may take.
CONNECT_TIMEOUT = 3.0
GREETING_TIMEOUT = 3.0
REPLY_TIMEOUT = 60.0
#: Handshakes with one node at once, and seconds for which another one waits in the queue. A node accepts
#: `gomd.protocols.handshakes.MAX_HANDSHAKES_PER_ADDRESS`, perhaps from several daemons of one address.
MAX_HANDSHAKES_PER_NODE = 3
HANDSHAKE_QUEUE_TIMEOUT = 10.0
#: Seconds before each retry when the peer closes the connection during the handshake, as it does when it has
#: too many connections.
RETRY_PAUSES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
#: Seconds for the verbs that reply only after they have moved one process, or all processes of a node.
REPLY_TIMEOUTS: Final = {"migrate": 900.0, "bring": 3600.0, "expel": 3600.0, "put": 3600.0, "carry": 900.0}
#: Verbs that change nothing, so that their request is sent again when a stream that was kept turns out to be
#: closed. Only these use kept streams.
REPEATABLE: Final = frozenset({
    "collect", "cpus", "doctor", "events", "get", "jobs", "load", "ls", "map", "mem", "node", "nodes", "ps",
    "relay", "speed", "stats", "status", "util", "version", "where", "whoami",
})  # fmt: skip


class Contact(NamedTuple):
    """
    How a daemon is reached: its address, and its ports for datagrams and for streams (0: none).

    :ivar others: its address of the other family, if it has one: streams go there when ``host`` is not
        reached.
    """

    host: str
    port: int
    stream_port: int
    others: tuple[str, ...] = ()


@implementer(IPeers)
class PeerClient:
    """
    Sends requests to the daemons of other nodes.

    :param contact: returns how a node is reached, None if that is not known.
    :param tls: makes the TLS of a stream. :param own_addresses: those to connect from, one of a family at
        most.
    :ivar streams: those that are open.
    """

    def __init__(
        self,
        reactor: Any,
        clock: IReactorTime,
        asker: Asker,
        contact: Callable[[int], Contact | None],
        tls: Any,
        own_addresses: Sequence[str],
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._asker = asker
        self._contact = contact
        self.tls = tls
        self._own_addresses = {is_ipv6(each): each for each in own_addresses}
        self._handshake_limits: dict[int, DeferredSemaphore] = {}
        self.streams = OpenStreams()
        self._idle = IdleStreams(clock)
        self._fresh = FreshStreams(clock)
        self._asked = 0
        self._failed = 0
        self._again = 0

    def _contact_of(self, node: Node) -> Contact:
        contact = self._contact(node.id)
        if not node.up:
            raise PeerUnreachable(f"node {node.id} {node.name} is down: `events` may say why")
        if contact is None:
            raise PeerUnreachable(f"the address of node {node.id} {node.name} is not known here: see `nodes`")
        return contact

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
            connection = await self._connect(node, self._contact_of(node))
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
                connection = await self._connect(node, contact)
                stream = await self._handed_over(node, connection, request, caller)
        except ConnectionLost as error:
            raise self._ended(node, error) from error
        if request.verb == "run":
            self._fresh.prepare(key, lambda: self._connect(node, contact), fresh is not None)
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

    async def _connect(self, node: Node, contact: Contact) -> LineConnection:
        """Return a stream to ``node`` after its handshake, of which a few are made at once."""
        if not contact.stream_port:
            raise PeerUnreachable(f"node {node.id} {node.name} has no stream port")
        handshakes = self._handshake_limits.setdefault(node.id, DeferredSemaphore(MAX_HANDSHAKES_PER_NODE))
        await self._within(HANDSHAKE_QUEUE_TIMEOUT, handshakes.acquire(), node)
        try:
            for pause in RETRY_PAUSES:
                try:
                    return await self._handshake(node, contact)
                except ConnectionLost:
                    self._again += 1
                    await deferLater(self._clock, pause)
            return await self._handshake(node, contact)
        except ConnectionLost as error:
            raise PeerUnreachable(
                f"node {node.id} {node.name} closed the connection: does it have our key? ({error})"
            ) from error
        finally:
            handshakes.release()
            if handshakes.tokens == MAX_HANDSHAKES_PER_NODE:
                self._handshake_limits.pop(node.id, None)

    async def _handshake(self, node: Node, contact: Contact) -> LineConnection:
        """Connect, and wait for the greeting. :raises ConnectionLost: the peer closed it before that."""
        connection = await self._reach(node, contact, partial(wrapClientTLS, self.tls), _Streams())
        assert isinstance(connection, LineConnection)
        self.streams.add(connection)  # before its handshake, which may go on while a key is removed
        try:
            await self._within(GREETING_TIMEOUT, connection.greeted, node)
            self._check_peer(connection, node)
        except ConnectionLost:
            raise
        except BaseException:
            connection.abort()
            raise
        return connection

    async def reach(self, node: Node) -> Any:
        """
        Return the transport of a plain connection to the stream port of ``node``; what it sends is dropped.

        :raises PeerUnreachable: the node cannot be reached.
        """
        contact = self._contact_of(node)
        connection: Any = await self._reach(node, contact, lambda plain: plain, _Plain())
        return connection.transport

    async def _reach(
        self,
        node: Node,
        contact: Contact,
        over: Callable[[IStreamClientEndpoint], IStreamClientEndpoint],
        factory: Factory,
    ) -> IProtocol:
        """
        Connect to a node, at its other address when the first is not reached.

        :param over: puts TLS over a connection, or does not. :raises PeerUnreachable: it is reached at none.
        """
        why: Exception | str = "this node has no address of its family, IPv4 or IPv6: see [peers] address"
        for host in (contact.host, *contact.others):
            own = self._own_addresses.get(is_ipv6(host))
            if own is None:
                continue
            way = TCP6ClientEndpoint if is_ipv6(host) else TCP4ClientEndpoint
            plain = way(self._reactor, host, contact.stream_port, CONNECT_TIMEOUT, (own, 0))
            try:
                return await over(plain).connect(factory)
            except (ConnectError, OSError) as error:
                why = error
        raise PeerUnreachable(f"node {node.id} {node.name} cannot be reached: {why}")

    def _check_peer(self, connection: LineConnection, node: Node) -> None:
        """Check that the peer is ``node``. :raises PeerUnreachable: it is another one."""
        try:
            found = peer_node(connection.transport)  # type: ignore[arg-type]
        except NotANode as error:
            raise PeerUnreachable(
                f"what answers at the address of node {node.id} is not a node: {error}"
            ) from error
        if found != node.id:
            raise PeerUnreachable(f"node {found} answers at the address of node {node.id} {node.name}")

    def _within(self, limit: float, waited: Deferred[T], node: Node) -> Deferred[T]:
        late = TimedOut(f"node {node.id} {node.name} did not answer within {limit:g} s")
        return within(self._clock, limit, waited, late)

    def counters(self) -> Iterable[Counter]:
        """See `IPeers.counters`."""
        yield Counter("streams_asked", self._asked, "requests forwarded to other nodes")
        yield Counter("streams_failed", self._failed, "of them, nodes that could not be reached")
        yield Counter("streams_again", self._again, "handshakes that the other end broke off, tried again")
        yield from self.streams.counters()


class _Plain(Factory):
    """Makes this end of a connection that nobody speaks over."""

    noisy = False
    protocol = Protocol


class _Streams(Factory):
    """Makes this end of a stream."""

    noisy = False
    protocol = LineConnection


def _is_repeatable(request: Request) -> bool:
    """Return whether a request may be sent again. A command that a relay is to run may not."""
    return request.verb in REPEATABLE and not (request.verb == RELAY and DO in request.arguments[3:4])


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
