"""Two nodes with the same id: both are notified, an event is published once, and the first one stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gomd.cluster.membership.identity_checks import Claim
from gomd.cluster.membership.settings import Timing
from gomd.cluster.membership.state_changes import StateChanges, shortened
from gomd.cluster.membership.transport import Address, IPeerTransport
from gomd.cluster.rivals import Rivals
from libgomd.model import Counter
from libgomd.wire.messages import Datagram, Heartbeat, MemberState, Notice

#: Seconds until the same problem is reported again.
_REPEAT_AFTER: Final = 600.0
#: Heartbeats until a node that was found to be in conflict is checked again.
_RECHECK_HEARTBEATS: Final = 10
#: Such times for which the place of such a node is remembered.
_RECHECKS_KEPT: Final = 3
#: Maximum number of conflicts to remember.
_MAX_REMEMBERED: Final = 256

#: A node id, and the instance of its daemon or the kind of problem.
_Key = tuple[int, int | str]


class IdConflicts:
    """
    Reports id conflicts and remembers what was reported.

    :param own_id: id of this node; ``name`` and ``instance`` are its own as well.
    :param seconds: the time of a monotonic clock. :ivar rivals: where the second nodes are.
    """

    def __init__(
        self, own_id: int, name: str, instance: int, transport: IPeerTransport, changes: StateChanges,
        timing: Timing, seconds: Callable[[], float],
    ) -> None:  # fmt: skip
        self._own_id = own_id
        self._name = name
        self._instance = instance
        self._transport = transport
        self._changes = changes
        self._recheck_after = timing.heartbeat * _RECHECK_HEARTBEATS
        self.rivals = Rivals(seconds, self._recheck_after * _RECHECKS_KEPT)
        self._reported_at: dict[_Key, float] = {}
        self._found_at: dict[_Key, float] = {}
        self._conflicts = 0

    def is_news(self, node: int, what: str, now: float) -> bool:
        """Return whether this was not reported in the last ten minutes, and note that it is reported now."""
        return _note_if_older(self._reported_at, (node, what), now, _REPEAT_AFTER)

    def is_over(self, node: int, what: str) -> None:
        """Note that a reported problem has ended, so that it is reported again when it comes back."""
        self._reported_at.pop((node, what), None)

    def is_known(self, node: int, instance: int, now: float) -> bool:
        """Return whether this instance was lately found to use the id of another node."""
        return now - self._found_at.get((node, instance), now - self._recheck_after) < self._recheck_after

    def report(self, claim: Claim, now: float) -> None:
        """Report a node whose id belongs to another node that is up at another address."""
        first, second = claim.member, claim.message
        reason = (
            f"two nodes use the id {first.id}: {first.name} at {first.address[0]} and {second.name} at "
            f"{claim.address[0]}, which is not accepted; give one of them another [node] id"
        )
        _note_if_older(self._found_at, (first.id, claim.instance), now, 0.0)
        self.rivals.note(first.id, claim.address[0])
        self._conflicts += 1
        if self.is_news(first.id, "conflict", now):
            self._changes.warn(first.id, first.name, reason)
        self._tell(first.id, claim.instance, reason, [*first.places, claim.address])

    def report_refusal(
        self, node: int, message: Heartbeat, instance: int, reason: str, to: list[Address]
    ) -> None:
        """Report a node that may not be a member. It and the member with its id are notified at ``to``."""
        self._changes.warn(node, message.name, reason)
        self._tell(node, instance, reason, to)

    def _tell(self, node: int, instance: int, reason: str, to: list[Address]) -> None:
        notice = Notice(MemberState.CONFLICT, node, instance, 0, self._own_id, shortened(reason))
        self._transport.send(notice, to)

    def receive_own_id(self, datagram: Datagram, address: Address, now: float) -> None:
        """Process a datagram whose sender has the id of this node."""
        if datagram.instance == self._instance or datagram.sent_at < self._instance:
            return  # our own multicast, or a late datagram of our previous instance
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
        if isinstance(message, Heartbeat) and not self.is_known(self._own_id, datagram.instance, now):
            _note_if_older(self._found_at, (self._own_id, datagram.instance), now, 0.0)
            self._tell(self._own_id, datagram.instance, reason, [(address[0], message.port)])

    def receive_notice(self, notice: Notice, now: float) -> None:
        """Process a notice of another node that our id is used twice."""
        self._conflicts += 1
        if self.is_news(self._own_id, "conflict", now):
            self._changes.warn(self._own_id, self._name, notice.reason)

    def counters(self) -> list[Counter]:
        """Return the counters for `stats`."""
        return [Counter("id_conflicts", self._conflicts, "times two nodes were seen to use one id")]


def _note_if_older(times: dict[_Key, float], key: _Key, now: float, wait: float) -> bool:
    """Return whether ``wait`` seconds have passed since ``key`` was noted; if so, note it now."""
    last = times.get(key)
    if last is not None and now - last < wait:
        return False
    times.pop(key, None)
    while len(times) >= _MAX_REMEMBERED:
        del times[next(iter(times))]
    times[key] = now
    return True
