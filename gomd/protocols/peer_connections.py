"""Makes the connections to other nodes: where a node is reached, the handshakes with it, and who answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from gomd.protocols.open_streams import OpenStreams
from libgomd.bulk_tls import BulkTLSEndpoint
from libgomd.certificates import NotANode
from libgomd.connection import LineConnection
from libgomd.deadlines import within
from libgomd.errors import ConnectionLost, PeerUnreachable, TimedOut
from libgomd.model import Counter, Node
from libgomd.tls import peer_node
from libgomd.wire.addresses import is_ipv6

T = TypeVar("T")

#: Seconds that a connection, and the greeting on it, may take.
CONNECT_TIMEOUT = 3.0
GREETING_TIMEOUT = 3.0
#: Handshakes with one node at once, and seconds for which another one waits in the queue. A node accepts
#: `gomd.protocols.handshakes.MAX_HANDSHAKES_PER_ADDRESS`, perhaps from several daemons of one address.
MAX_HANDSHAKES_PER_NODE = 3
HANDSHAKE_QUEUE_TIMEOUT = 10.0
#: Seconds before each retry when the peer closes the connection during the handshake, as it does when it has
#: too many connections.
RETRY_PAUSES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


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


class PeerConnections:
    """
    Makes streams to other nodes, a few at once to each of them.

    :param contact: returns how a node is reached, None if that is not known.
    :param tls: makes the TLS of a stream. :param own_addresses: those to connect from, one of a family at
        most.
    :ivar streams: those that are open.
    """

    def __init__(
        self,
        reactor: Any,
        clock: IReactorTime,
        contact: Callable[[int], Contact | None],
        tls: Any,
        own_addresses: Sequence[str],
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._contact = contact
        self.tls = tls
        self._own_addresses = {is_ipv6(each): each for each in own_addresses}
        self._handshake_limits: dict[int, DeferredSemaphore] = {}
        self.streams = OpenStreams()
        self._again = 0

    def contact_of(self, node: Node) -> Contact:
        """Return how ``node`` is reached. :raises PeerUnreachable: it is down, or that is not known."""
        contact = self._contact(node.id)
        if not node.up:
            raise PeerUnreachable(f"node {node.id} {node.name} is down: `events` may say why")
        if contact is None:
            raise PeerUnreachable(f"the address of node {node.id} {node.name} is not known here: see `nodes`")
        return contact

    async def connect(self, node: Node, contact: Contact) -> LineConnection:
        """Return a stream to ``node`` after its handshake, of which a few are made at once."""
        if not contact.stream_port:
            raise PeerUnreachable(f"node {node.id} {node.name} has no stream port")
        handshakes = self._handshake_limits.setdefault(node.id, DeferredSemaphore(MAX_HANDSHAKES_PER_NODE))
        await self.within(HANDSHAKE_QUEUE_TIMEOUT, handshakes.acquire(), node)
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
        connection = await self._reach(node, contact, partial(BulkTLSEndpoint, self.tls), _Streams())
        assert isinstance(connection, LineConnection)
        self.streams.add(connection)  # before its handshake, which may go on while a key is removed
        # Cancelling `greeted` itself gives `ConnectionLost`, after which one would connect again, for nobody.
        greeted: Deferred[LineConnection] = Deferred()
        connection.greeted.chainDeferred(greeted)
        try:
            await self.within(GREETING_TIMEOUT, greeted, node)
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
        contact = self.contact_of(node)
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
            except ConnectingCancelledError as error:  # what Twisted says of whoever gave up while connecting
                raise CancelledError from error
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

    def within(self, limit: float, waited: Deferred[T], node: Node) -> Deferred[T]:
        """Wait for ``node`` at most ``limit`` seconds. :raises TimedOut: when awaited, if it took longer."""
        late = TimedOut(f"node {node.id} {node.name} did not answer within {limit:g} s")
        return within(self._clock, limit, waited, late)

    def counters(self) -> Iterable[Counter]:
        """Return the counters for `stats`."""
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
