"""
Questions to nodes by datagram, for Twisted programs: where a process runs, and what a path contains.

::

    peer = open_peer(reactor, "/etc/gomd/key")
    node = await peer.get_cur_node("10.0.0.3", 4711)

`libgomd.blocking_peer` has the same calls for programs without Twisted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from libgomd.answers import node_in, parse_address, value_in, where_in
from libgomd.derivation import ring_of_files
from libgomd.errors import MalformedDatagram
from libgomd.model import Node
from libgomd.questions import Asker
from libgomd.wallclock import Wall, wall_clock
from libgomd.wire.addresses import is_ipv6
from libgomd.wire.datagrams import Sealer, open_sealed
from libgomd.wire.messages import MAX_PACKET, Answer, ClockWarning, Question, Summary
from libgomd.wire.sealing import KeyRing


class Peer(DatagramProtocol):
    """
    Sends questions to nodes. One instance is enough for a program.

    :param keys: keys of the cluster. Nodes with other keys do not answer.
    :param wall: gives the time stamp of datagrams.
    """

    noisy = False
    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        reactor: Any,
        keys: KeyRing,
        random: Callable[[int], bytes] = os.urandom,
        wall: Wall = wall_clock,
    ) -> None:
        self._wall = wall
        self._reactor = reactor
        self._keys = keys
        instance = int.from_bytes(random(6), "big")
        self._sealer = Sealer(keys, 0, instance, random)
        self._asker = Asker(reactor, self._send, random)
        self._port: IListeningPort | None = None
        self._ipv6: _Ipv6 | None = None

    def open(self) -> None:
        """Open a free UDP port. One of IPv6 is opened when the first IPv6 address is asked."""
        self._port = self._reactor.listenUDP(0, self, maxPacketSize=MAX_PACKET + 1)

    def close(self) -> Deferred[None]:
        """Fail pending questions and close the port. The Deferred fires when it is closed."""
        self._asker.stop()
        ports = [self._port, self._ipv6.port if self._ipv6 is not None else None]
        self._port = self._ipv6 = None
        closed = [maybeDeferred(port.stopListening) for port in ports if port is not None]
        return gatherResults(closed).addCallback(lambda _results: None)

    def get_cur_node(self, node: str | tuple[str, int], pid: int) -> Deferred[int]:
        """
        Ask ``node``, the home of process ``pid``, on which node the process runs.

        :returns: a Deferred of the node id, never 0. It fails with `NotFound` if there is no such process,
            and with `TimedOut` if no answer comes.
        """
        return Deferred.fromCoroutine(self._cur_node(parse_address(node), pid))

    async def _cur_node(self, address: tuple[str, int], pid: int) -> int:
        where = where_in(await self._asker.ask(address, Question(0, f"/proc/{pid}/where")))
        return where or node_in(await self._asker.ask(address, Question(0))).id

    def read(self, node: str | tuple[str, int], path: str) -> Deferred[bytes]:
        """
        Read the file ``path`` of the tree of ``node``.

        Content that exceeds a packet is cut off; the telnet line of the node gives all of it.

        :returns: a Deferred that fails with a `RequestError` if the node refuses, and with `TimedOut` if no
            answer comes.
        """
        asked = self._asker.ask(parse_address(node), Question(0, path, room=MAX_PACKET))
        return asked.addCallback(value_in)

    def summary(self, node: str | tuple[str, int]) -> Deferred[Node]:
        """Get the values of ``node``. The Deferred fails with `TimedOut` if no answer comes."""
        return self._asker.ask(parse_address(node), Question(0)).addCallback(node_in)

    def _send(self, question: Question, address: tuple[str, int]) -> None:
        packet = self._sealer.seal(question, int(self._wall() * 1000))
        if not is_ipv6(address[0]):
            assert self.transport is not None
            self.transport.write(packet, address)
            return
        if self._ipv6 is None:
            self._ipv6 = _Ipv6(self)
            try:
                self._ipv6.port = self._reactor.listenUDP(
                    0, self._ipv6, interface="::", maxPacketSize=MAX_PACKET + 1
                )
            except CannotListenError as error:
                self._ipv6 = None
                raise OSError(error.socketError) from error
        assert self._ipv6.transport is not None
        self._ipv6.transport.write(packet, address)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Process an answer or a clock warning; drop anything else."""
        try:
            opened = open_sealed(datagram, self._keys).datagram
        except MalformedDatagram as error:
            self._log.debug("dropped a datagram from {addr}: {error}", addr=addr, error=error)
            return
        message = opened.message
        if isinstance(message, (Answer, Summary)):
            self._asker.take(message)
        elif isinstance(message, ClockWarning) and message.instance == self._sealer.instance:
            self._asker.take_warning(message, addr, opened.sent_at / 1000 - self._wall())

    def connectionRefused(self) -> None:
        """Do nothing: the timeout of the question reports it."""


class _Ipv6(DatagramProtocol):
    """The port for nodes with an IPv6 address. :ivar port: what listens, None before it does."""

    noisy = False

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.port: IListeningPort | None = None

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._peer.datagramReceived(datagram, addr)

    def connectionRefused(self) -> None:
        self._peer.connectionRefused()


def open_peer(reactor: Any, key_files: str | Sequence[str] = ()) -> Peer:
    """
    Return a `Peer` with an open port. Blocks briefly to read the key files.

    :param key_files: the cluster's key file, or several while the key is being changed. A daemon without a
        configured key uses its own, ``STATE/key``, which its user and root can name here.
    :raises ConfigError: no key file is given, or one cannot be used.
    """
    peer = Peer(reactor, ring_of_files(key_files))
    peer.open()
    return peer
