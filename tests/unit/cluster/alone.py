"""One heartbeat engine whose peers are played by the test."""

from __future__ import annotations

from random import Random

from gomd.cluster.events import Events
from gomd.cluster.membership import Address, HeartbeatEngine, Settings
from libgomd.model import Node, Status
from libgomd.wire.messages import (
    Datagram,
    MemberState,
    Message,
    Notice,
)
from libgomd.wire.messages import Heartbeat as Beat
from tests.network import HeapClock
from tests.nodes import PORT, address_of


def seeds(*numbers: int) -> tuple[Address, ...]:
    return tuple((address_of(number), PORT) for number in numbers)


def beat(number: int, **changes: object) -> Beat:
    """Return the heartbeat of a node."""
    plain = Beat(
        0, PORT, PORT, 3, 0, 1, 15000, 4, 400, 1, 1, 1, False, f"node{number}", address_of(number), ()
    )
    return plain._replace(**changes)  # type: ignore[arg-type]


class Wire:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[Message, Address | None]] = []
        self.everywhere: list[bool] = []
        self.renumbered = 0

    def renumber(self) -> None:
        self.renumbered += 1

    def send(self, message: Message, addresses: list[Address]) -> None:
        self.sent += [(message, address) for address in addresses]

    def multicast(self, message: Message, everywhere: bool = True) -> None:
        self.sent.append((message, None))
        self.everywhere.append(everywhere)


class Alone:
    """One engine whose peers are played by the test."""

    def __init__(self, number: int = 1, addresses: tuple[str, ...] = (), **changes: object) -> None:
        self.clock = HeapClock()
        self.wire = Wire()
        self.events = Events()
        address, both = (addresses or (address_of(number),))[0], addresses if len(addresses) > 1 else ()
        status = Status.CONFIGURED | Status.UP
        me = Node(number, f"node{number}", address, status, addresses=both)
        self.engine = HeartbeatEngine(
            lambda: me, int(self.clock.seconds() * 1000), self.wire, self.clock,  # type: ignore[arg-type]
            Random(1), self.events, Settings(**changes), self.clock.seconds,  # type: ignore[arg-type]
        )  # fmt: skip
        self.engine.start()
        self.sequence = 0

    def hear(
        self, number: int, message: Message, address: str = "", instance: int = 7, multicast: bool = False
    ) -> list[tuple[Message, Address | None]]:
        """Let node ``number`` say something; return what is sent at once because of it."""
        self.sequence += 1
        del self.wire.sent[:]
        sent_at = int(self.clock.seconds() * 1000)
        datagram = Datagram(number, instance, sent_at, self.sequence, message)
        self.engine.receive(datagram, (address or address_of(number), PORT), multicast)
        return list(self.wire.sent)

    def deaths_told(self, seconds: float) -> list[float]:
        """Let node 3 fall silent beside node 2; return the moments at which all are told that it is down."""
        self.hear(3, beat(3), multicast=True)
        return self.deaths(seconds)

    def deaths(self, seconds: float) -> list[float]:
        """Let so much time pass; return the moments at which all are told that a node is down."""
        moments = []
        for _ in range(round(seconds * 10)):
            self.hear(2, beat(2), multicast=True)
            del self.wire.sent[:]
            self.clock.advance(0.1)
            for message, to in self.wire.sent:
                if to is None and isinstance(message, Notice) and message.state is MemberState.DOWN:
                    moments.append(self.clock.seconds())
        return moments

    def up(self) -> list[int]:
        return [node.id for node in self.engine.nodes() if node.up]

    def ticks(self, seconds: float) -> int:
        """Let so much time pass; return how often the engine woke up in it."""
        moments = self.clock.moments = set()
        self.clock.advance(seconds)
        self.clock.moments = None
        return len(moments)
