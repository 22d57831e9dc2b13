"""What the tests of datagrams put on either end: a transport that keeps what is sent, and another node."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.task import Clock

from gomd.protocols.peers import PeerProtocol
from libgomd.wire.datagrams import Sealer, open_sealed
from libgomd.wire.messages import Answer, Datagram, Message, Question
from libgomd.wire.sealing import KeyRing
from tests.unit.wire.vectors import RING

#: Any moment, in seconds since the epoch.
NOW = 1_700_000_000.0
OTHER = ("10.0.0.2", 5428)
#: What most questions of the tests are about.
PATH = "/proc/hpc/nodes/1/load"


def fifty(question: Question) -> Answer:
    """Answer as a node whose load is 50."""
    return Answer.to(question, 200, b"50\n")


class Wire:
    """A UDP transport in memory. :ivar written: packets and where they went."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, tuple[str, int]]] = []
        self.broken = False

    def write(self, packet: bytes, address: tuple[str, int]) -> None:
        """Keep a packet; a broken network refuses it."""
        if self.broken:
            raise OSError(101, "Network is unreachable")
        self.written.append((packet, address))

    def take(self) -> list[tuple[Message, tuple[str, int]]]:
        """Return the messages that were sent since the last time, and where they went."""
        sent, self.written = self.written, []
        return [(open_sealed(packet, RING).datagram.message, address) for packet, address in sent]


class Engine:
    """Takes what is for membership. :ivar received: it. :ivar clocks: reports of wrong clocks."""

    def __init__(self) -> None:
        self.received: list[Datagram] = []
        self.clocks: list[tuple[int, str, float]] = []
        self.said: list[tuple[str, int | str]] = []

    def receive(self, datagram: Datagram, address: Any, multicast: bool = False) -> None:
        """Keep a datagram."""
        self.received.append(datagram)

    def port_of(self, node: int) -> None:
        """Nobody is known."""

    def is_rival(self, node: int, host: str) -> bool:
        """Nobody is one."""
        return False

    def right_clock(self, node: int) -> None:
        """Keep a report."""
        self.said.append(("right clock", node))

    def differing(self, node: int) -> None:
        """Keep a report."""
        self.said.append(("differing", node))

    def replayed(self, node: int) -> None:
        """Keep a report."""
        self.said.append(("replayed", node))

    def renumbered(self, name: str) -> None:
        """Keep a report."""
        self.said.append(("renumbered", name))

    def copied(self, host: str) -> None:
        """Keep a report."""
        self.said.append(("copied", host))

    def look_again(self) -> None:
        """Nobody is known."""

    def slept(self, seconds: float) -> None:
        """Nobody is known."""

    def wrong_clock(self, node: int, name: str, skew: float) -> None:
        """Keep a report."""
        self.clocks.append((node, name, round(skew)))


class Node:
    """A `PeerProtocol` with a clock, a transport and an engine of its own."""

    def __init__(
        self, node: int = 1, name: str = "alpha", now: float = NOW, instance: int = 1000, keys: KeyRing = RING
    ) -> None:
        self.clock = Clock()
        self.clock.advance(now)
        self.wire = Wire()
        self.engine = Engine()
        self.protocol = PeerProtocol(
            keys, node, name, instance, self.clock, self.clock.seconds, Random(node).randbytes
        )
        self.protocol.membership = self.engine
        self.protocol.makeConnection(self.wire)  # type: ignore[arg-type]

    def take(self, packet: bytes, address: tuple[str, int] = OTHER) -> None:
        """Receive a packet."""
        self.protocol.datagramReceived(packet, address)

    def counters(self) -> dict[str, Any]:
        """What it counted, by name."""
        return {counter.name: counter.value for counter in self.protocol.counters()}


def sealing(clock: Clock, sender: int = 2, instance: int = 5) -> Callable[[Message], bytes]:
    """Return what makes the packets of another node with the same key."""
    sealer = Sealer(RING, sender, instance, Random(sender + instance).randbytes)
    return lambda message: sealer.seal(message, int(clock.seconds() * 1000))
