"""Changes of member state, each published as one event."""

from __future__ import annotations

from typing import ClassVar, Final

from twisted.logger import Logger

from gomd.cluster.membership.member import NEVER, Member
from gomd.cluster.membership.rejoin import Rejoin
from gomd.cluster.membership.table import Members
from gomd.interfaces import IEvents
from libgomd.model import Counter, Event, EventKind
from libgomd.wallclock import Wall
from libgomd.wire.messages import MAX_REASON, MemberState

_KINDS: Final = {MemberState.DOWN: EventKind.DOWN, MemberState.LEFT: EventKind.LEAVE}

#: Maximum number of members remembered as suspecting a node. Two are enough to decide.
_MAX_ACCUSERS: Final = 8


def shortened(reason: str) -> str:
    """Return ``reason``, cut to what fits into a datagram."""
    return reason.encode()[:MAX_REASON].decode(errors="ignore")


class StateChanges:
    """
    Changes the state of members and publishes each change once.

    :param wall: gives the time stamp of events.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, own_id: int, members: Members, rejoin: Rejoin, events: IEvents, wall: Wall) -> None:
        self._own_id = own_id
        self._members = members
        self._rejoin = rejoin
        self._events = events
        self._wall = wall
        self._counts = dict.fromkeys(EventKind, 0)

    @property
    def version(self) -> int:
        """A higher number after each change of a member's state or address."""
        return sum(self._counts.values())

    def publish(self, kind: EventKind, node: int, name: str, reason: str, by: int) -> None:
        """Publish an event about a node."""
        self._counts[kind] += 1
        self._events.publish(Event(self._wall(), kind, node, name, reason, by))

    def warn(self, node: int, name: str, reason: str) -> None:
        """Log and publish a problem that a person must solve."""
        self._log.warn("{reason}", reason=reason)
        self.publish(EventKind.SUSPECT, node, name, reason, self._own_id)

    def mark_up(self, member: Member, kind: EventKind, reason: str, now: float) -> None:
        """Mark a member that was not up as up."""
        self._members.set_state(member, MemberState.UP)
        member.suspects.clear()
        member.heard_at = member.up_since = now
        member.multicast_at = NEVER
        if kind is EventKind.UP:
            member.returned_at = now
        self.publish(kind, member.id, member.name, reason, self._own_id)

    def mark_gone(self, member: Member, state: MemberState, by: int, reason: str, now: float) -> None:
        """Mark a member that was up as DOWN or LEFT."""
        self._members.set_state(member, state)
        member.suspects.clear()
        member.gone_since, member.gone_by, member.gone_reason = now, by, reason
        for place in member.places:
            self._rejoin.add(place, now)
        self.publish(_KINDS[state], member.id, member.name, reason, by)

    def change_address(self, member: Member, address: tuple[str, int], reason: str) -> None:
        """Contact a member at another address from now on."""
        self._members.set_address(member, address)
        self.publish(EventKind.UP, member.id, member.name, reason, self._own_id)

    def tell_address(self, member: Member, reason: str) -> None:
        """Publish that another one of the two addresses of a member is used now."""
        self.publish(EventKind.UP, member.id, member.name, reason, self._own_id)

    def mark_suspect(self, member: Member, by: int, reason: str) -> None:
        """Note that node ``by`` suspects a member. Only the first suspicion is published."""
        if not member.suspects:
            self.publish(EventKind.SUSPECT, member.id, member.name, reason, by)
        if len(member.suspects) < _MAX_ACCUSERS:
            member.suspects.add(by)

    def clear_suspicion(self, member: Member, by: int, reason: str) -> None:
        """End the suspicion of a member that is alive after all."""
        if member.suspects:
            member.suspects.clear()
            self.publish(EventKind.UP, member.id, member.name, reason, by)

    def counters(self) -> list[Counter]:
        """Return the counters for `stats`."""
        return [
            Counter(f"nodes_{kind.value}_events", self._counts[kind], f"times a node was reported to {words}")
            for kind, words in (
                (EventKind.JOIN, "have joined"),
                (EventKind.LEAVE, "have left"),
                (EventKind.SUSPECT, "be suspect"),
                (EventKind.DOWN, "be down"),
                (EventKind.UP, "be up again, or to have moved"),
            )
        ]
