"""
Finds out whether large packets reach other nodes, for `gom doctor`: small ones may arrive where they do not.

Theory of operation. Where a link on the way has a smaller MTU than both ends, packets that are too large for
it are dropped. The router that drops them says so by ICMP, and the kernel then sends smaller ones; a firewall
that drops the ICMP, or a switch, which says nothing, makes a black hole. Handshakes and short requests pass,
everything longer hangs. All of gomd's datagrams are small, so membership notices nothing.

A probe connects to the stream port, and sends the begin of a client hello that is so long that the kernel
makes full packets of it. It never becomes whole, so the other daemon, of whatever version, waits for the rest
until the connection is closed. The kernel knows what has arrived there, however busy that daemon is: packets
that were sent again and again without an acknowledgement are lost. Another connection, whose packets are
small, then shows that it is the size. That measures one direction; the other node measures the other one.
TLS would not do: the server's part of its handshake has full packets too, and the client cannot know that
they are lost. In a large cluster each node probes a few others, near and far in the order of ids, so that the
traffic of a round grows with the nodes and not with the pairs.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Awaitable, Callable, Iterator, Sequence
from socket import AF_INET6, IPPROTO_TCP, TCP_INFO
from typing import Any, ClassVar, Final, NamedTuple

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from libgomd.deadlines import within
from libgomd.errors import GomdError, TimedOut
from libgomd.model import Finding, FindingState, Node
from libgomd.node_sets import fold
from libgomd.tcp import tcp_socket
from libgomd.wire.addresses import is_ipv6

#: Nodes that one node probes at most. An even number: as many in each direction of the order of ids.
MAX_PROBED: Final = 8
#: What a probe sends: the head of the largest TLS record, and all of it but the last byte. That is more than
#: a packet of 9000 bytes, and less than a daemon takes before the handshake is done.
HELLO: Final = b"\x16\x03\x01\x40\x00\x01".ljust(5 + 0x4000 - 1, b"\0")
#: Seconds between two looks at the stream, and for which a probe looks.
LOOK_INTERVAL: Final = 0.1
PROBE_TIMEOUT: Final = 6.0
#: What is acknowledged of a connection that carries nothing yet.
_SYN: Final = 1
#: Transmissions in vain of the first segment after which it counts as lost; they take a second and a half.
MIN_RETRANSMITS: Final = 3
#: Seconds for all probes of a node, and for which their result is given again instead of probing again.
ALL_TIMEOUT: Final = 20.0
KEPT_SECONDS: Final = 15.0
#: Bytes of the headers of a packet: IP, TCP and its time stamps; and of a ping.
IPV4_TCP_HEADERS: Final = 20 + 20 + 12
IPV6_TCP_HEADERS: Final = 40 + 20 + 12
_IPV4_PING_HEADERS, _IPV6_PING_HEADERS = 20 + 8, 40 + 8
#: The begin of the kernel's `struct tcp_info` (linux/tcp.h): 8 bytes, 24 numbers of 4 bytes, 3 of 8 bytes.
_INFO: Final = struct.Struct("=8B24I3Q")
_RETRANSMITS, _SEND_MSS, _UNACKED, _PATH_MTU, _ACKED = 2, 8 + 2, 8 + 4, 8 + 13, 8 + 24 + 2

GOOD, WARN, BAD = FindingState
_HANG: Final = "jobs, moves and long answers hang"
Reach = Callable[[Node], Awaitable[Any]]


class SegmentState(NamedTuple):
    """
    What the kernel knows of the packets of a connection.

    :ivar packet: bytes of a packet with a full segment, headers included.
    :ivar unacknowledged: segments on the way. :ivar retransmits: how often the first was sent again.
    :ivar acknowledged: bytes that have arrived.
    """

    packet: int
    unacknowledged: int
    retransmits: int
    acknowledged: int


class Found(enum.Enum):
    """What one probe found."""

    ARRIVES = "full packets arrive"
    LOST = "full packets are lost"
    UNKNOWN = "that could not be measured"


class ProbedPath(NamedTuple):
    """:ivar packet: bytes of a full packet to the node, 0 if unknown."""

    node: Node
    found: Found
    packet: int = 0


def parse_segment_state(data: bytes, headers: int) -> SegmentState | None:
    """
    Return what the kernel's `struct tcp_info` says of segments; None for a shorter one.

    :param headers: bytes of a packet besides its data.
    """
    if len(data) < _INFO.size:
        return None
    fields = _INFO.unpack_from(data)
    packet = min(fields[_SEND_MSS] + headers, fields[_PATH_MTU])  # the path of a peer with a smaller MTU
    return SegmentState(packet, fields[_UNACKED], fields[_RETRANSMITS], fields[_ACKED])


def segment_state(transport: Any) -> SegmentState | None:
    """Return what the kernel knows of a connection; None for what is no TCP, or is closed."""
    if (connection := tcp_socket(transport)) is None:
        return None
    headers = IPV6_TCP_HEADERS if connection.family == AF_INET6 else IPV4_TCP_HEADERS
    try:
        return parse_segment_state(connection.getsockopt(IPPROTO_TCP, TCP_INFO, _INFO.size), headers)
    except OSError:
        return None


def chosen(nodes: Sequence[Node], own: int) -> list[Node]:
    """
    Return the nodes that node ``own`` probes: all others that are up, or some near and far from it.

    Who is chosen by a node chooses it as well, so that both directions of a path are probed.
    """
    up = sorted((node for node in nodes if node.up or node.id == own), key=lambda node: node.id)
    if len(up) <= MAX_PROBED + 1:
        return [node for node in up if node.id != own]
    place = next((place for place, node in enumerate(up) if node.id == own), 0)
    steps = MAX_PROBED // 2
    farthest = (len(up) - 1) // 2
    distances = {max(step + 1, round(farthest ** (step / (steps - 1)))) for step in range(steps)}
    found = {(place + way * distance) % len(up) for distance in distances for way in (1, -1)}
    return [up[each] for each in sorted(found - {place})]


class PathProbes:
    """
    Probes the paths to other nodes. Questions at the same time, and soon after, share one round.

    :param nodes: gives all nodes. :param reach: connects to one, as `PeerClient.reach`.
    :param look: gives the state of a transport.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        own: int,
        nodes: Callable[[], Sequence[Node]],
        reach: Reach,
        look: Callable[[Any], SegmentState | None] = segment_state,
    ) -> None:
        self._clock = clock
        self._own = own
        self._nodes = nodes
        self._reach = reach
        self._look = look
        self._waiting: list[Deferred[Sequence[Finding]]] | None = None
        self._kept: tuple[Sequence[Finding], float] | None = None

    async def findings(self) -> Sequence[Finding]:
        """Return what was found out about the paths from this node. Never raises `GomdError`."""
        if self._kept is not None and self._clock.seconds() - self._kept[1] < KEPT_SECONDS:
            return self._kept[0]
        waited: Deferred[Sequence[Finding]] = Deferred()
        if self._waiting is not None:
            self._waiting.append(waited)
            return await waited
        self._waiting = [waited]
        Deferred.fromCoroutine(self._round())
        return await waited

    async def _round(self) -> None:
        """Probe, and tell everybody who waits. Never raises."""
        found: Sequence[Finding] = ()
        try:
            probes = [Deferred.fromCoroutine(self._probe(node)) for node in chosen(self._nodes(), self._own)]
            found = tuple(findings_of(await gatherResults(probes)))
        except Exception:  # noqa: BLE001 - a bug: those who wait must still be answered
            self._log.failure("probing the paths to other nodes failed")
        self._kept = (found, self._clock.seconds())
        waiting, self._waiting = self._waiting or [], None
        for each in waiting:
            if not each.called:
                each.callback(found)

    async def _probe(self, node: Node) -> ProbedPath:
        """Probe one path. Never raises `GomdError`."""
        probing: Deferred[ProbedPath] = Deferred.fromCoroutine(self._measured(node))
        try:
            return await within(self._clock, ALL_TIMEOUT, probing, TimedOut("the probe"))
        except GomdError as error:
            self._log.debug("the path to {node} is not known: {error}", node=node.name, error=error)
            return ProbedPath(node, Found.UNKNOWN)

    async def _measured(self, node: Node) -> ProbedPath:
        transport = await self._reach(node)
        try:
            transport.write(HELLO)
            found = await self._watched(node, transport)
        finally:
            transport.abortConnection()
        if found.found is Found.LOST:
            # That fails if nothing arrives any more: then it is not the size.
            (await self._reach(node)).abortConnection()
        return found

    async def _watched(self, node: Node, transport: Any) -> ProbedPath:
        """Watch how the kernel gets on with what was written."""
        packet = 0
        state: SegmentState | None = None
        for _ in range(round(PROBE_TIMEOUT / LOOK_INTERVAL)):
            await deferLater(self._clock, LOOK_INTERVAL)
            if (state := self._look(transport)) is None:
                break
            packet = packet or state.packet  # the kernel may try smaller ones when these are lost
            if state.acknowledged >= len(HELLO):
                return ProbedPath(node, Found.ARRIVES, packet)
            if state.unacknowledged and state.retransmits >= MIN_RETRANSMITS:
                return ProbedPath(node, Found.LOST, packet)
        if state is not None and state.unacknowledged and state.acknowledged <= _SYN:
            return ProbedPath(node, Found.LOST, packet)  # a drop on this machine counts as no transmission
        return ProbedPath(node, Found.UNKNOWN)


def findings_of(paths: Sequence[ProbedPath]) -> Iterator[Finding]:
    """Yield the findings about paths, one for all that have the same fault."""
    alike: dict[tuple[Found, int], list[ProbedPath]] = {}
    for path in paths:
        key = (path.found, path.packet if path.found is Found.LOST else 0)
        alike.setdefault(key, []).append(path)
    for (found, packet), same in sorted(alike.items(), key=lambda each: (each[0][0].name, each[0][1])):
        names = fold([path.node.name or str(path.node.id) for path in same])
        if found is Found.ARRIVES:
            least = min(path.packet for path in same)
            yield Finding("mtu", GOOD, f"packets of {least} bytes reach {names}", "", least)
        elif found is Found.LOST:
            text = f"packets of {packet} bytes to {names} are lost on the way, and small ones are not"
            yield Finding("mtu", BAD, f"{text}: {_HANG}", _mend(packet, same[0].node.address), packet)


def _mend(packet: int, address: str) -> str:
    data = packet - (_IPV6_PING_HEADERS if is_ipv6(address) else _IPV4_PING_HEADERS)
    return (
        f"find the size that passes: ping -M do -s {data} {address}; then set it at both ends (ip link set "
        "dev INTERFACE mtu SIZE), or let the firewalls pass ICMP `fragmentation needed` and ICMPv6 `packet "
        "too big`"
    )
