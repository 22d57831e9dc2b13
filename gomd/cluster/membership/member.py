"""One other node as it is known here."""

from __future__ import annotations

import math
from typing import Final

from gomd.cluster.membership.transport import Address
from libgomd.model import Node, Status
from libgomd.wire.messages import MAX_HEARTBEAT_SPEED, Heartbeat, MemberNote, MemberState

#: Before every moment.
NEVER: Final = -math.inf
_EVERY_BIT: Final = sum(Status)


class Member:
    """
    Another node. Moments are on the engine's steady clock, but for ``valued``, whose clock has the gaps too.

    :ivar instance: which start of its daemon; 0 for one that is configured and was never heard.
    :ivar address: where it is reached: the host its datagrams come from, the port it names.
    :ivar state: UP, DOWN or LEFT.
    :ivar incarnation: how often it has refuted a suspicion.
    :ivar sequence: highest number among its datagrams.
    :ivar message: its newest heartbeat, which came at ``valued``; None when none ever came.
    :ivar fast: its true speed when that is more than a heartbeat can say, and the instance that said so.
    :ivar heard: when a datagram last came from its address. :ivar vouched: when it last answered another.
    :ivar multicast: when a datagram of it last came by multicast, since it is up.
    :ivar listed_name: its name when it came up.
    :ivar rostered: when it was last sent what is known of all others.
    :ivar suspects: ids of those who suspect it.
    :ivar since: since when it has been up.
    :ivar gone: since when it has not been; ``gone_by`` and ``gone_reason`` who said so and why.
    """

    __slots__ = (
        "address", "fast", "gone", "gone_by", "gone_reason", "heard", "id", "incarnation", "instance",
        "listed_name", "message", "multicast", "name", "rostered", "sequence", "since", "state",
        "suspects", "valued", "vouched",
    )  # fmt: skip

    def __init__(self, node: int, name: str, address: Address, now: float) -> None:
        self.id = node
        self.name = self.listed_name = name
        self.address = address
        self.instance = 0
        self.incarnation = 0
        self.sequence = 0
        self.state = MemberState.DOWN
        self.message: Heartbeat | None = None
        self.fast: tuple[int, int] = (0, 0)
        self.heard = self.vouched = self.valued = now
        self.multicast = self.rostered = NEVER
        self.suspects: set[int] = set()
        self.since = self.gone = now
        self.gone_by = 0
        self.gone_reason = ""

    @property
    def alive(self) -> float:
        """When it last gave a sign of life, to this node or to another one."""
        return max(self.heard, self.vouched)

    def take(self, message: Heartbeat, now: float) -> None:
        """Keep its newest heartbeat, at ``now`` with the gaps."""
        self.message = message
        self.name = message.name
        self.valued = now
        self.incarnation = max(self.incarnation, message.incarnation)

    def _speed(self, said: int | None) -> int | None:
        instance, speed = self.fast
        return speed if said == MAX_HEARTBEAT_SPEED and speed and instance == self.instance else said

    def note(self) -> MemberNote:
        """Return it as others are told of it."""
        host, port = self.address
        return MemberNote(self.id, self.state, self.instance, self.incarnation, port, host)

    def node(self, now: float) -> Node:
        """
        Return it as users see it; one that keeps quiet, or is not up, has no values.

        :param now: as `SteadyTime.whole`.
        """
        message = self.message
        if self.state is not MemberState.UP or message is None:
            return Node(self.id, self.name, self.address[0], Status.CONFIGURED)
        status = Status(message.status & _EVERY_BIT) | Status.CONFIGURED | Status.UP
        if status & Status.QUIET:
            return Node(self.id, self.name, self.address[0], status)
        age = None if message.sampled is None else round(message.sampled / 1000 + now - self.valued, 3)
        return Node(
            self.id, self.name, self.address[0], status, message.load, self._speed(message.speed),
            message.cpus, message.util, message.mem, message.rmem, message.tmem, age,
        )  # fmt: skip
