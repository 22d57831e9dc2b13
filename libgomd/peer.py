"""
Questions to one node by datagram, from any Twisted program: where does a process run, what does a path say.

::

    peer = open_peer(reactor, "/etc/gomd/key")
    node = await peer.get_cur_node("10.0.0.3", 4711)

`libgomd.blocking_peer` has the same for programs without Twisted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from libgomd.answers import node_in, parse_address, value_in, where_in
from libgomd.derivation import ring_of_files
from libgomd.errors import MalformedDatagram
from libgomd.model import Node
from libgomd.questions import Asker
from libgomd.wallclock import Wall, wall_clock
from libgomd.wire.datagrams import Sealer, open_sealed
from libgomd.wire.messages import MAX_PACKET, Answer, ClockWarning, Question, Summary
from libgomd.wire.sealing import KeyRing


class Peer(DatagramProtocol):
    """
    Asks nodes. One of these is enough for a program, whatever it asks whom.

    :param keys: of the cluster; nodes with another key do not answer.
    :param wall: gives the time that datagrams are stamped with.
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

    def open(self) -> None:
        """Take a free UDP port."""
        self._port = self._reactor.listenUDP(0, self, maxPacketSize=MAX_PACKET + 1)

    def close(self) -> Deferred[None]:
        """Give up what is under way, and the port; fires when it is closed."""
        self._asker.stop()
        port, self._port = self._port, None
        closed = port.stopListening() if port is not None else None
        if isinstance(closed, Deferred):
            return closed
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    def get_cur_node(self, node: str | tuple[str, int], pid: int) -> Deferred[int]:
        """
        Ask ``node``, the home of process ``pid``, which node it runs on; gives a node id, never 0.

        Fails with `NotFound` for no such process, `TimedOut` when nobody answers.
        """
        return Deferred.fromCoroutine(self._cur_node(parse_address(node), pid))

    async def _cur_node(self, address: tuple[str, int], pid: int) -> int:
        where = where_in(await self._asker.ask(address, Question(0, f"/proc/{pid}/where")))
        return where or node_in(await self._asker.ask(address, Question(0))).id

    def read(self, node: str | tuple[str, int], path: str) -> Deferred[bytes]:
        """
        Ask ``node`` what ``path`` of its tree says.

        More than a packet holds is cut off; a connection to the node's telnet line gives it all.
        Fails with a `RequestError` when the node says no, `TimedOut` when nobody answers.
        """
        asked = self._asker.ask(parse_address(node), Question(0, path, room=MAX_PACKET))
        return asked.addCallback(value_in)

    def summary(self, node: str | tuple[str, int]) -> Deferred[Node]:
        """Ask ``node`` how it is. Fails with `TimedOut` when nobody answers."""
        return self._asker.ask(parse_address(node), Question(0)).addCallback(node_in)

    def _send(self, question: Question, address: tuple[str, int]) -> None:
        assert self.transport is not None
        self.transport.write(self._sealer.seal(question, int(self._wall() * 1000)), address)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Hand an answer to whoever asked; anything else is dropped."""
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
        """Nobody listens there: the question's own time-out says so."""


def open_peer(reactor: Any, key_files: str | Sequence[str] = ()) -> Peer:
    """
    Return a `Peer` with a port of its own. Reads the key files, so it blocks for a moment.

    :param key_files: the cluster's key file, or several while the key is changed. A daemon without a
        configured key has one of its own, ``STATE/key``, which its own user (and root) can name here.
    :raises ConfigError: no key file is named, or one cannot be used.
    """
    peer = Peer(reactor, ring_of_files(key_files))
    peer.open()
    return peer
