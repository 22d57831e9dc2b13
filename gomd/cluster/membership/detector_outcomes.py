"""What follows from the check of a silent node: it is suspect, down or alive, and other nodes hear of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zope.interface import implementer

from gomd.cluster.membership.broadcasts import Broadcasts
from gomd.cluster.membership.failure_detector import IDetectorListener
from gomd.cluster.membership.member import Member
from gomd.cluster.membership.state_changes import StateChanges, shortened
from gomd.cluster.membership.steady_clock import SteadyClock
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.wire.messages import MemberState, Notice


@implementer(IDetectorListener)
class DetectorOutcomes:
    """
    Changes the state of members as the failure detector decides, and tells the other nodes.

    :param own_id: of this node. :param contradict: tells those that suspect a member that it is up, see
        `Rumors.contradict`.
    """

    def __init__(
        self,
        own_id: int,
        transport: IPeerTransport,
        changes: StateChanges,
        broadcasts: Broadcasts,
        time: SteadyClock,
        contradict: Callable[[Member, str, Iterable[Address]], None],
    ) -> None:
        self._own_id = own_id
        self._transport = transport
        self._changes = changes
        self._broadcasts = broadcasts
        self._time = time
        self._contradict = contradict

    def suspected(self, member: Member, reason: str) -> None:
        """See `IDetectorListener.suspected`."""
        self._changes.mark_suspect(member, self._own_id, reason)
        notice = self._notice(MemberState.SUSPECT, member, reason)
        for place in member.places:
            self._transport.send(notice, [place])
        self._broadcasts.queue(notice)

    def dead(self, member: Member, reason: str) -> None:
        """See `IDetectorListener.dead`."""
        notice = self._notice(MemberState.DOWN, member, reason)
        self._changes.mark_gone(member, MemberState.DOWN, self._own_id, reason, self._time.now())
        self._broadcasts.queue(notice)

    def alive(self, member: Member, by: int, asked_by: Iterable[Address]) -> None:
        """See `IDetectorListener.alive`."""
        self._broadcasts.invalidate(member.id)
        self._changes.clear_suspicion(member, by, f"it answers node {by}")
        self._contradict(member, f"it answers node {by}", asked_by)

    def _notice(self, state: MemberState, member: Member, reason: str) -> Notice:
        return Notice(state, member.id, member.instance, member.incarnation, self._own_id, shortened(reason))
