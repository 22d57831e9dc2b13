"""What happens to members, and that everybody hears of it: each change of state is one event."""

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

#: Of how many it is kept that they suspect a node: two make a difference.
_MOST_SUSPECTS: Final = 8


def shortened(reason: str) -> str:
    """Return ``reason``, cut to what a datagram takes."""
    return reason.encode()[:MAX_REASON].decode(errors="ignore")


class StateChanges:
    """
    StateChanges of state, each published once.

    :param wall: the time that events carry.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, own_id: int, members: Members, searching: Rejoin, events: IEvents, wall: Wall) -> None:
        self._own_id = own_id
        self._members = members
        self._searching = searching
        self._events = events
        self._wall = wall
        self._counts = dict.fromkeys(EventKind, 0)

    def publish(self, kind: EventKind, node: int, name: str, reason: str, by: int) -> None:
        """Tell of something that happened to a node."""
        self._counts[kind] += 1
        self._events.publish(Event(self._wall(), kind, node, name, reason, by))

    def warn(self, node: int, name: str, reason: str) -> None:
        """Tell of something that a person has to put right."""
        self._log.warn("{reason}", reason=reason)
        self.publish(EventKind.SUSPECT, node, name, reason, self._own_id)

    def up(self, member: Member, kind: EventKind, reason: str, now: float) -> None:
        """It is up now, and was not."""
        self._members.turn(member, MemberState.UP)
        member.suspects.clear()
        member.heard = member.since = now
        member.multicast = NEVER
        self.publish(kind, member.id, member.name, reason, self._own_id)

    def gone(self, member: Member, state: MemberState, by: int, reason: str, now: float) -> None:
        """It was up, and is DOWN or has LEFT."""
        self._members.turn(member, state)
        member.suspects.clear()
        member.gone, member.gone_by, member.gone_reason = now, by, reason
        self._searching.add(member.address, now)
        self.publish(_KINDS[state], member.id, member.name, reason, by)

    def moved(self, member: Member, address: tuple[str, int], reason: str) -> None:
        """It is reached at another address now."""
        self._members.move(member, address)
        self.publish(EventKind.UP, member.id, member.name, reason, self._own_id)

    def suspected(self, member: Member, by: int, reason: str) -> None:
        """Node ``by`` suspects it; the first one is news."""
        if not member.suspects:
            self.publish(EventKind.SUSPECT, member.id, member.name, reason, by)
        if len(member.suspects) < _MOST_SUSPECTS:
            member.suspects.add(by)

    def cleared(self, member: Member, by: int, reason: str) -> None:
        """It was suspected, and is there after all."""
        if member.suspects:
            member.suspects.clear()
            self.publish(EventKind.UP, member.id, member.name, reason, by)

    def counters(self) -> list[Counter]:
        """What it counted."""
        return [
            Counter(f"nodes_{kind.value}_events", self._counts[kind], f"times a node was said to {words}")
            for kind, words in (
                (EventKind.JOIN, "have joined"),
                (EventKind.LEAVE, "have left"),
                (EventKind.SUSPECT, "be suspect"),
                (EventKind.DOWN, "be down"),
                (EventKind.UP, "be up again, or to have moved"),
            )
        ]
