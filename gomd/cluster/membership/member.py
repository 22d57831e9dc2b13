"""One other node, as this node knows it."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

from gomd.cluster.membership.transport import Address
from libgomd.model import Node, Status
from libgomd.wire.addresses import is_ipv6, without_zone
from libgomd.wire.messages import MAX_HEARTBEAT_SPEED, Heartbeat, MemberNote, MemberState

#: Earlier than every time on the clock.
NEVER: Final = -math.inf
_ALL_STATUS_BITS: Final = sum(Status)
_QUIET: Final = int(Status.QUIET)


@lru_cache(maxsize=_ALL_STATUS_BITS + 1)
def _status_while_up(bits: int) -> Status:
    """Return the status of a node that is up. The operators of IntFlag take microseconds."""
    return Status(bits) | Status.CONFIGURED | Status.UP


class Member:
    """
    Another node. Times are on the engine's `SteadyClock`, except ``values_at``, which includes the gaps.

    :ivar instance: which start of its daemon; 0 for a configured node that was never heard from.
    :ivar address: where to reach it: the host that its datagrams come from, and the port it announces.
    :ivar is_named: whether its heartbeat named that host when it was taken for its own.
    :ivar second: its place in the other family, None if it has none or none is known. It has been answered
        from there. It is used when `address` is silent.
    :ivar second_at: when it was last heard from there. :ivar second_tried: when a second place was last
        probed.
    :ivar state: UP, DOWN or LEFT.
    :ivar incarnation: how many times it has refuted a suspicion.
    :ivar sequence: highest sequence number among its datagrams.
    :ivar message: its newest heartbeat, received at ``values_at``; None if none was received yet.
    :ivar true_speed: its instance and its speed, if that exceeds what a heartbeat can express.
    :ivar heard_at: when its own address last sent a datagram.
    :ivar vouched_at: when another member last confirmed that it is alive, or it sent from another address.
    :ivar multicast_at: when its multicast was last received, since it came up.
    :ivar listed_name: its name when it came up.
    :ivar roster_sent_at: when this node last sent it a roster.
    :ivar suspects: ids of the nodes that suspect it.
    :ivar returned_at: when it was last heard again after it had been down.
    :ivar up_since: when it came up. :ivar gone_since: when it stopped being up.
    :ivar gone_by: id of the node that declared it gone, for the reason ``gone_reason``.
    """

    __slots__ = (
        "address", "gone_by", "gone_reason", "gone_since", "heard_at", "id", "incarnation", "instance",
        "is_named", "listed_name", "message", "multicast_at", "name", "returned_at", "roster_sent_at",
        "second", "second_at", "second_tried", "sequence", "state", "suspects", "true_speed", "up_since",
        "values_at", "vouched_at",
    )  # fmt: skip

    def __init__(self, node: int, name: str, address: Address, now: float) -> None:
        self.id = node
        self.name = self.listed_name = name
        self.address = address
        self.is_named = True
        self.second: Address | None = None
        self.second_at = self.second_tried = NEVER
        self.instance = 0
        self.incarnation = 0
        self.sequence = 0
        self.state = MemberState.DOWN
        self.message: Heartbeat | None = None
        self.true_speed: tuple[int, int] = (0, 0)
        self.heard_at = self.vouched_at = self.values_at = now
        self.multicast_at = self.roster_sent_at = self.returned_at = NEVER
        self.suspects: set[int] = set()
        self.up_since = self.gone_since = now
        self.gone_by = 0
        self.gone_reason = ""

    @property
    def last_alive(self) -> float:
        """When this node or another one last had a sign of life from it."""
        return max(self.heard_at, self.vouched_at)

    def take(self, message: Heartbeat, now: float) -> None:
        """Store its newest heartbeat, received at ``now`` as `SteadyClock.now_with_gaps` tells."""
        self.message = message
        self.name = message.name
        self.values_at = now
        self.incarnation = max(self.incarnation, message.incarnation)

    def _speed(self, announced: int | None) -> int | None:
        """Return the true speed where the heartbeat announced only the largest one it can express."""
        instance, speed = self.true_speed
        known = announced == MAX_HEARTBEAT_SPEED and speed and instance == self.instance
        return speed if known else announced

    @property
    def places(self) -> tuple[Address, ...]:
        """Where it may be reached, the place in use first."""
        return (self.address,) if self.second is None else (self.address, self.second)

    def notes(self) -> list[MemberNote]:
        """Return the notes that tell other nodes of this member, one for each of its addresses."""
        return [
            MemberNote(self.id, self.state, self.instance, self.incarnation, port, without_zone(host))
            for host, port in self.places
        ]

    def _hosts(self) -> tuple[str, tuple[str, ...]]:
        """Return the address in use, and both, that of IPv4 first, if it has two."""
        both = () if self.second is None else sorted((self.address[0], self.second[0]), key=is_ipv6)
        return self.address[0], tuple(both)

    def node(self, now: float) -> Node:
        """
        Return the node as users see it. It has no values while it is quiet or not up.

        :param now: as `SteadyClock.now_with_gaps`.
        """
        message = self.message
        address, addresses = self._hosts()
        if self.state is not MemberState.UP or message is None:
            return Node(self.id, self.name, address, Status.CONFIGURED, addresses=addresses)
        status = _status_while_up(message.status & _ALL_STATUS_BITS)
        if message.status & _QUIET:
            return Node(self.id, self.name, address, status, addresses=addresses)
        age = None if message.sampled is None else round(message.sampled / 1000 + now - self.values_at, 3)
        return Node(
            self.id, self.name, address, status, message.load, self._speed(message.speed),
            message.cpus, message.util, message.mem, message.rmem, message.tmem, age, addresses,
        )  # fmt: skip
