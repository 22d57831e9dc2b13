"""
A network in memory, on which hundreds of nodes run in one process and in simulated time.

It is seeded: the same seed gives the same run. Packets are lost, late, doubled and overtaken by others as
it is told to; hosts can be cut off from each other and get other addresses. What travels are the values
of datagrams; their length is that of their real bytes, sealed.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.task import Clock
from zope.interface import implementer

from gomd.cluster.membership import Address, IPeerTransport
from libgomd.wire.bodies import encode_body
from libgomd.wire.messages import Datagram, Message
from libgomd.wire.replay import ReplayWindow, Verdict
from libgomd.wire.sealing import SEALED_OVERHEAD

Receiver = Callable[[Datagram, Address, bool], None]


class HeapClock(Clock):
    """A `Clock` for ten thousands of calls: its calls are a heap, not a list sorted at each of them."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        super().__init__()
        self.rightNow = start
        self._heap: list[tuple[float, int, Any]] = []
        #: Where the moments at which something was called are noted, if somebody asks for them.
        self.moments: set[float] | None = None
        self._count = itertools.count()

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> Any:
        """See `IReactorTime.callLater`."""
        call = DelayedCall(
            self.rightNow + delay, callable, args, kw, lambda _call: None, self._again, self.seconds
        )
        self._again(call)
        return call

    def _again(self, call: Any) -> None:
        heapq.heappush(self._heap, (call.getTime(), next(self._count), call))

    def at(self, when: float, function: Callable[[], None]) -> None:
        """Call a function at a moment; what cannot be cancelled costs less."""
        heapq.heappush(self._heap, (when, next(self._count), function))

    def advance(self, amount: float) -> None:
        """Let ``amount`` seconds pass, and call whatever is due in them at its time."""
        end = self.rightNow + amount
        heap = self._heap
        while heap and heap[0][0] <= end:
            when, _, call = heapq.heappop(heap)
            if not isinstance(call, DelayedCall):
                self.rightNow = max(self.rightNow, when)
                call()
            elif not (call.called or call.cancelled):
                if call.getTime() > when:  # it was put off
                    self._again(call)
                    continue
                self.rightNow = max(self.rightNow, when)
                call.called = 1
                if self.moments is not None:
                    self.moments.add(self.rightNow)
                call.func(*call.args, **call.kw)
        self.rightNow = end


class Host:
    """One address on the network, and what came to it."""

    def __init__(self, address: Address, receiver: Receiver, replays: ReplayWindow | None) -> None:
        self.address = address
        self.receiver = receiver
        self.replays = replays
        self.side = 0
        self.down = False
        self.deaf = False
        self.received = self.received_bytes = 0
        self.sent = self.sent_bytes = 0


class Network:
    """
    Carries datagrams between hosts.

    :ivar loss: share of packets that are lost, each receiver of a multicast for itself.
    :ivar delay: least and most seconds on the way; a wide range lets packets overtake each other.
    :ivar doubled: share of packets that come twice.
    :param replays: whether hosts refuse what came before, as daemons do. Takes memory for each pair.
    """

    def __init__(self, clock: HeapClock, seed: int, replays: bool = True) -> None:
        self.clock = clock
        self.random = Random(seed)
        self.loss = 0.0
        self.delay = (0.0002, 0.001)
        self.doubled = 0.0
        self.hosts: dict[Address, Host] = {}
        self._replays = replays
        self._blocked: set[tuple[Host, Host]] = set()
        self.log: list[tuple[float, Address, Address | None, Message]] | None = None

    # -- hosts

    def attach(self, address: Address, receiver: Receiver) -> Host:
        """Return a new host."""
        assert address not in self.hosts, f"{address} is taken"
        host = Host(address, receiver, ReplayWindow() if self._replays else None)
        self.hosts[address] = host
        return host

    def detach(self, host: Host) -> None:
        """Take a host away: nothing reaches it, nothing comes from it."""
        self.hosts.pop(host.address, None)
        host.down = True

    def move(self, host: Host, address: Address) -> None:
        """Give a host another address, as a DHCP server does."""
        assert address not in self.hosts, f"{address} is taken"
        del self.hosts[host.address]
        host.address = address
        self.hosts[address] = host

    def part(self, *sides: Iterable[Host]) -> None:
        """Cut the network: only hosts of one side reach each other; those that are not named are one too."""
        for host in self.hosts.values():
            host.side = 0
        for number, side in enumerate(sides, 1):
            for host in side:
                host.side = number

    def heal(self) -> None:
        """Join all sides again, and open all ways."""
        self.part()
        self._blocked.clear()

    def block(self, one: Host, other: Host) -> None:
        """Let nothing pass from one host to another one; the other way stays open."""
        self._blocked.add((one, other))

    # -- packets

    def send(self, host: Host, datagram: Datagram, length: int, to: Address) -> None:
        """Carry one packet to one address."""
        if self.log is not None:
            self.log.append((self.clock.seconds(), host.address, to, datagram.message))
        receiver = self.hosts.get(to)
        if receiver is not None:
            self._carry(host, datagram, length, receiver, multicast=False)

    def multicast(self, host: Host, datagram: Datagram, length: int) -> None:
        """Carry one packet to everybody else who listens."""
        if self.log is not None:
            self.log.append((self.clock.seconds(), host.address, None, datagram.message))
        for receiver in self.hosts.values():
            if receiver is not host and not receiver.deaf:
                self._carry(host, datagram, length, receiver, multicast=True)

    def _carry(self, host: Host, datagram: Datagram, length: int, to: Host, multicast: bool) -> None:
        draw = self.random.random
        if host.down or host.side != to.side or (host, to) in self._blocked:
            return
        if self.loss and draw() < self.loss:
            return
        source = host.address
        least, most = self.delay
        for _ in range(2 if self.doubled and draw() < self.doubled else 1):
            delay = least + (most - least) * draw()

            def arrive() -> None:
                if not to.down and to.side == host.side:
                    to.received += 1
                    to.received_bytes += length
                    if to.replays is not None:
                        now = int(self.clock.seconds() * 1000)
                        if to.replays.admit(datagram, now) is not Verdict.FRESH:
                            return
                    to.receiver(datagram, source, multicast)

            self.clock.at(self.clock.rightNow + delay, arrive)


@implementer(IPeerTransport)
class HostTransport:
    """The transport of one node: numbers its messages as a `Sealer` does."""

    def __init__(self, network: Network, node: int, instance: int) -> None:
        self._network = network
        self._node = node
        self._instance = instance
        self._sequence = 0
        self.host: Host | None = None

    def renumber(self, above: int = 0) -> None:
        """See `IPeerTransport.renumber`."""
        self._sequence = max(self._sequence, above, int(self._network.clock.seconds() * 1000) * 1024)

    def _datagram(self, message: Message, copies: int) -> tuple[Host, Datagram, int]:
        host = self.host
        assert host is not None
        self._sequence += 1
        now = int(self._network.clock.seconds() * 1000)
        datagram = Datagram(self._node, self._instance, now, self._sequence, message)
        length = len(encode_body(datagram, SEALED_OVERHEAD)) + SEALED_OVERHEAD
        host.sent += copies
        host.sent_bytes += length * copies
        return host, datagram, length

    def send(self, message: Message, addresses: Sequence[Address]) -> None:
        """See `IPeerTransport.send`."""
        host, datagram, length = self._datagram(message, len(addresses))
        for address in addresses:
            self._network.send(host, datagram, length, address)

    def multicast(self, message: Message, everywhere: bool = True) -> None:
        """See `IPeerTransport.multicast`."""
        host, datagram, length = self._datagram(message, 1)
        self._network.multicast(host, datagram, length)
