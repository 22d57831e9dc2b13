"""The messages by which nodes tell each other which members the cluster has, and in which state."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from libgomd.wire.addresses import without_zone

#: Maximum number of member notes in one packet. So many always fit when their addresses are IPv4 ...
MAX_NOTES: Final = 36
#: ... and so many when they are IPv6.
MAX_NOTES_IPV6: Final = 28
#: Maximum number of addresses of one node: one IPv4, one IPv6.
MAX_ADDRESSES: Final = 2


class MemberState(enum.IntEnum):
    """The state of a member, as another node reports it."""

    UP = 1
    SUSPECT = 2
    DOWN = 3
    LEFT = 4
    #: Two nodes use this id; the notice is about the second one.
    CONFLICT = 5


class MemberNote(NamedTuple):
    """
    One member as the sender knows it.

    :ivar node: its id. :ivar state: its state in the sender's table.
    :ivar instance: which start of its daemon.
    :ivar incarnation: how many times that instance has refuted a suspicion.
    :ivar address: one of its addresses, without a zone. :ivar port: its UDP port.
    """

    node: int
    state: MemberState
    instance: int
    incarnation: int
    port: int
    address: str


class Heartbeat(NamedTuple):
    """
    The sender is up and has these values.

    :ivar incarnation: how many times this instance has refuted a suspicion.
    :ivar port: the sender's UDP port. :ivar stream_port: its TCP port for peers, 0 for none.
    :ivar status: bits of `Status`.
    :ivar sampled: milliseconds since the values were measured. The values are as in `Node`, None if unknown.
    :ivar announce: the receiver must answer with its own heartbeat, because the sender is new or looks for
        lost nodes.
    :ivar address: the sender's IPv4 address, its IPv6 address if it has no other.
    :ivar notes: piggybacked notes about some members, at most `MAX_NOTES`, with IPv4 addresses only: a daemon
        that knows no others would drop the whole heartbeat.
    """

    incarnation: int
    port: int
    stream_port: int
    status: int
    sampled: int | None
    load: int | None
    speed: int | None
    cpus: int | None
    util: int | None
    mem: int | None
    rmem: int | None
    tmem: int | None
    announce: bool
    name: str
    address: str
    notes: tuple[MemberNote, ...] = ()

    def is_from(self, host: str) -> bool:
        """Return whether ``host``, the source address of the packet, is the one that the sender names."""
        return without_zone(host) == self.address


class TrueSpeed(NamedTuple):
    """
    The sender's speed, which exceeds the 16 bits of a heartbeat.

    It accompanies heartbeats whose speed is 65535. A daemon that does not know this kind drops it.
    """

    speed: int


class Addresses(NamedTuple):
    """
    All addresses of a sender that has two, at the same ``port``: one of IPv4 and one of IPv6.

    It accompanies heartbeats as `TrueSpeed` does. A daemon that does not know this kind drops it. The
    receiver believes an address only after it has been answered from there.
    """

    port: int
    addresses: tuple[str, ...]


class Leave(NamedTuple):
    """The sender leaves the cluster cleanly. ``reason`` is for people and may be empty."""

    incarnation: int
    reason: str = ""


class Probe(NamedTuple):
    """
    Asks a node whether it is alive.

    :ivar request_id: random; repeated in the acknowledgement.
    :ivar target: id of the probed node, 0 for any receiver. Other nodes do not answer.
    """

    request_id: int
    target: int = 0


class ProbeAck(NamedTuple):
    """
    The acknowledgement of a probe or an indirect probe.

    Its request id proves that it is fresh, so a wrong time stamp certainly means a wrong clock.

    :ivar node: the probed node, with the ``instance`` and ``incarnation`` of its answer; both are 0 if it did
        not answer.
    :ivar reached: whether it answered. Only a helper sends False.
    """

    request_id: int
    node: int
    instance: int
    incarnation: int
    reached: bool = True


class IndirectProbe(NamedTuple):
    """Asks a helper to probe ``target`` at ``address`` and ``port``, and to report with this request id."""

    request_id: int
    target: int
    port: int
    address: str


class Notice(NamedTuple):
    """
    A change of a node's state, which is broadcast.

    :ivar state: UP refutes a suspicion; CONFLICT reports a second node with the same id.
    :ivar node: id of the node concerned, with its instance and incarnation.
    :ivar by: id of the node that detected it, which may not be the sender.
    :ivar reason: the reason, a sentence for people.
    """

    state: MemberState
    node: int
    instance: int
    incarnation: int
    by: int
    reason: str = ""


class Roster(NamedTuple):
    """
    A packet of members, for a node that is new.

    All addresses in one packet are of one family, because a daemon that knows IPv4 only drops a packet with
    any other one.

    :ivar total: number of nodes that the sender knows. :ivar notes: some of them.
    """

    total: int
    notes: tuple[MemberNote, ...] = ()
