"""Two nodes that use one id: both are told, people are told once, and the first one stays."""

from __future__ import annotations

from typing import Final

from gomd.cluster.membership.identity_checks import Claim
from gomd.cluster.membership.settings import Timing
from gomd.cluster.membership.state_changes import StateChanges, shortened
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.model import Counter
from libgomd.wire.messages import Datagram, Heartbeat, MemberState, Notice

#: Seconds until the same conflict is news again.
_NEWS: Final = 600.0
#: Heartbeats until it is looked into again.
_AGAIN: Final = 10
#: Conflicts remembered, at most.
_MOST: Final = 256

#: A node, and its start or what was told of it.
_Key = tuple[int, int | str]


class IdConflicts:
    """:param own_id: of this node, as its ``name`` and its ``instance``."""

    def __init__(
        self, own_id: int, name: str, instance: int, transport: IPeerTransport, changes: StateChanges,
        timing: Timing,
    ) -> None:  # fmt: skip
        self._own_id = own_id
        self._name = name
        self._instance = instance
        self._transport = transport
        self._changes = changes
        self._again = timing.heartbeat * _AGAIN
        self._told: dict[_Key, float] = {}
        self._known: dict[_Key, float] = {}
        self._conflicts = 0

    def is_news(self, node: int, what: str, now: float) -> bool:
        """Whether people were not told this about a node in the last ten minutes; now they are."""
        return _passed(self._told, (node, what), now, _NEWS)

    def is_over(self, node: int, what: str) -> None:
        """What people were told is not so any more: it is news when it happens again."""
        self._told.pop((node, what), None)

    def known(self, node: int, instance: int, now: float) -> bool:
        """Whether this start of a node was found to be the second one of its id, lately."""
        return now - self._known.get((node, instance), now - self._again) < self._again

    def conflict(self, claim: Claim, now: float) -> None:
        """A node came whose id belongs to a member that is up, elsewhere."""
        first, second = claim.member, claim.message
        reason = (
            f"two nodes use the id {first.id}: {first.name} at {first.address[0]} and {second.name} at "
            f"{claim.address[0]}, which is not taken; give one of them another [node] id"
        )
        _passed(self._known, (first.id, claim.instance), now, 0.0)
        self._conflicts += 1
        if self.is_news(first.id, "conflict", now):
            self._changes.warn(first.id, first.name, reason)
        self._tell(first.id, claim.instance, reason, [first.address, claim.address])

    def refused(self, node: int, message: Heartbeat, instance: int, reason: str, to: list[Address]) -> None:
        """A node came that may not be a member; it and the one whose id it uses are told at ``to``."""
        self._changes.warn(node, message.name, reason)
        self._tell(node, instance, reason, to)

    def _tell(self, node: int, instance: int, reason: str, to: list[Address]) -> None:
        notice = Notice(MemberState.CONFLICT, node, instance, 0, self._own_id, shortened(reason))
        self._transport.send(notice, to)

    def heard(self, datagram: Datagram, address: Address, now: float) -> None:
        """Take a datagram of a node that has our id."""
        if datagram.instance == self._instance or datagram.sent_at < self._instance:
            return  # our own, come back; or one of our own last start, late
        self._conflicts += 1
        message = datagram.message
        who = (
            f"{message.name} at {address[0]}" if isinstance(message, Heartbeat) else f"a node at {address[0]}"
        )
        reason = (
            f"{who} uses the id {self._own_id} as well as {self._name}; give one of them another [node] id"
        )
        if self.is_news(self._own_id, "conflict", now):
            self._changes.warn(self._own_id, self._name, reason)
        if isinstance(message, Heartbeat) and not self.known(self._own_id, datagram.instance, now):
            _passed(self._known, (self._own_id, datagram.instance), now, 0.0)
            self._tell(self._own_id, datagram.instance, reason, [(address[0], message.port)])

    def told(self, notice: Notice, now: float) -> None:
        """Another node says that our id is used twice."""
        self._conflicts += 1
        if self.is_news(self._own_id, "conflict", now):
            self._changes.warn(self._own_id, self._name, notice.reason)

    def counters(self) -> list[Counter]:
        """What it counted."""
        return [Counter("id_conflicts", self._conflicts, "times two nodes were seen to use one id")]


def _passed(times: dict[_Key, float], key: _Key, now: float, wait: float) -> bool:
    """Whether ``wait`` has passed since ``key`` was last noted; then it is noted now."""
    last = times.get(key)
    if last is not None and now - last < wait:
        return False
    times.pop(key, None)
    while len(times) >= _MOST:
        del times[next(iter(times))]
    times[key] = now
    return True
