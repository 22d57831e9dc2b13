"""
Handles second-hand reports about a node.

A report only triggers a probe. A node is marked up only after it has been heard directly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Final

from gomd.cluster.membership.broadcasts import Broadcasts
from gomd.cluster.membership.failure_detector import FailureDetector
from gomd.cluster.membership.member import Member
from gomd.cluster.membership.rejoin import Contacts
from gomd.cluster.membership.second_address import place_here
from gomd.cluster.membership.settings import Timing
from gomd.cluster.membership.state_changes import StateChanges, shortened
from gomd.cluster.membership.table import Members
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.model import Counter
from libgomd.wire.addresses import is_ipv6
from libgomd.wire.messages import MemberNote, MemberState, Notice

#: Average number of members, besides the watchers, that contradict a false report.
_EXPECTED_OBJECTIONS: Final = 4
#: Heartbeats after which a node that was told of is one that cannot be reached; so many are remembered.
_UNREACHABLE_HEARTBEATS: Final = 10
_MAX_UNREACHABLE: Final = 256


class Rumors:
    """
    Processes notices and notes about other nodes.

    A node that is reported as suspect or down, but was heard within `Timing.suspect_delay`, is neither. Its
    watchers and some randomly chosen members then contradict the reporter. A report by a node that was cut
    off itself makes a member suspect, not down.

    :param gossip: passes a notice on, if its sender could not reach all members.
    :param greet: sends a heartbeat of this node to some addresses.
    :param families: those in which this node has an address: True for IPv6.
    """

    def __init__(
        self,
        own_id: int,
        members: Members,
        changes: StateChanges,
        detector: FailureDetector,
        broadcasts: Broadcasts,
        contacts: Contacts,
        transport: IPeerTransport,
        timing: Timing,
        random: Random,
        gossip: Callable[[Notice], None],
        greet: Callable[[Sequence[Address]], None],
        own_name: str,
        families: frozenset[bool],
    ) -> None:
        self._own_id = own_id
        self._members = members
        self._changes = changes
        self._detector = detector
        self._broadcasts = broadcasts
        self._contacts = contacts
        self._transport = transport
        self._timing = timing
        self._random = random
        self._gossip = gossip
        self._greet = greet
        self._own_name = own_name
        self._families = families
        #: Nodes of the other family only, and when each was first told of; infinity when it has been warned
        #: of.
        self._unreachable: dict[int, float] = {}
        self._objections = 0

    def receive_notice(self, notice: Notice, sender: Address, now: float) -> None:
        """Process a notice about another node, from a member at ``sender``."""
        member = self._members.get(notice.node)
        if member is None or notice.instance != member.instance or not member.instance:
            return
        if notice.state is MemberState.UP:
            self._vouched(member, notice, now)
        elif notice.state is MemberState.CONFLICT or notice.incarnation < member.incarnation:
            return
        elif member.state is not MemberState.UP:
            if notice.state is MemberState.SUSPECT and self._should_contradict(member):
                self._tell(member.state, member, member.gone_by, member.gone_reason, [sender])
        elif now - member.last_alive < self._timing.suspect_delay:
            if self._should_contradict(member):
                self.contradict(member, f"node {self._own_id} hears from it", [sender])
        elif notice.state is MemberState.SUSPECT or self._was_cut_off(notice, now):
            self._suspected(member, notice, sender, now)
        else:
            self._detector.cancel(member.id)
            self._changes.mark_gone(member, notice.state, notice.by, notice.reason, now)
            self._gossip(notice)

    def _was_cut_off(self, notice: Notice, now: float) -> bool:
        """
        Return whether the node that calls another one down was itself down a moment ago, or is.

        It found that out while it heard nobody, and its notice may be new to everybody else now. Of a member
        that is up here that is a suspicion at most: its watchers probe it.
        """
        by = self._members.get(notice.by)
        if notice.state is not MemberState.DOWN or by is None:
            return False
        return by.state is not MemberState.UP or now - by.returned_at < self._timing.stale_news_time

    def _suspected(self, member: Member, notice: Notice, sender: Address, now: float) -> None:
        is_new = notice.by not in member.suspects
        self._changes.mark_suspect(member, notice.by, notice.reason)
        if member in self._members.watched:
            self._detector.start(member, now, sender)
        if is_new:
            self._gossip(notice)

    def _vouched(self, member: Member, notice: Notice, now: float) -> None:
        """Process a notice that a member is up: it refuted a suspicion, or it answered another member."""
        itself = notice.by == member.id
        if itself and notice.incarnation <= member.incarnation:
            return
        member.incarnation = max(member.incarnation, notice.incarnation)
        if itself:
            self._gossip(notice)
        if member.state is MemberState.UP:
            member.vouched_at = now
            self._detector.confirm_alive(member.id, notice.by)
            self._changes.clear_suspicion(member, notice.by, notice.reason)
        elif member.state is MemberState.DOWN:
            for place in member.places:
                self._contacts.add(place)

    def _should_contradict(self, member: Member) -> bool:
        return (
            member in self._members.watched
            or self._random.random() * self._members.up_count < _EXPECTED_OBJECTIONS
        )

    def contradict(self, member: Member, reason: str, to: Iterable[Address]) -> None:
        """Tell the members that suspect a node that it is up."""
        self._objections += 1
        self._tell(MemberState.UP, member, self._own_id, reason, to)

    def _tell(self, state: MemberState, member: Member, by: int, reason: str, to: Iterable[Address]) -> None:
        notice = Notice(
            state, member.id, member.instance, member.incarnation, by or self._own_id, shortened(reason)
        )
        self._transport.send(notice, list(to))

    def receive_note(self, note: MemberNote, sender: Address, now: float) -> None:
        """Process what the table of another member, at ``sender``, says about a node that is not this one."""
        member = self._members.get(note.node)
        if note.state is MemberState.UP:
            if member is None or self._may_be_back(member, note.instance):
                host = place_here(note.address, sender)
                if is_ipv6(note.address) not in self._families:
                    self._other_family(note, member, now)
                elif host:
                    self._contacts.add((host, note.port))
        elif (
            member is not None
            and member.state is MemberState.UP
            and member.instance == note.instance
            and member.incarnation <= note.incarnation
            and now - member.last_alive > self._timing.silence_timeout
        ):
            self._detector.start(member, now)

    def _other_family(self, note: MemberNote, member: Member | None, now: float) -> None:
        """
        Warn once of a node that is up for others and has no address that this node could send to.

        A node with two addresses is told with each, and becomes known by the other one meanwhile.
        """
        if member is not None:
            return
        first = self._unreachable.get(note.node)
        if first is None:
            if len(self._unreachable) < _MAX_UNREACHABLE:
                self._unreachable[note.node] = now
        elif now - first >= self._timing.heartbeat * _UNREACHABLE_HEARTBEATS:
            self._unreachable[note.node] = math.inf
            family = "IPv6" if is_ipv6(note.address) else "IPv4"
            self._changes.warn(
                self._own_id, self._own_name,
                f"node {note.node} at {note.address} is up for other nodes, and this node has no {family} "
                "address to reach it: give one of the two an address of the other family in [peers] address",
            )  # fmt: skip

    def greet_contacts(self) -> None:
        """Contact the addresses that the notes told of now, not with the next tick."""
        self._greet(self._contacts.take_new())

    def _may_be_back(self, member: Member, instance: int) -> bool:
        """Return whether a member that is reported as up should be contacted."""
        if member.state is MemberState.LEFT:
            return instance > member.instance
        return member.state is not MemberState.UP and instance >= member.instance

    def counters(self) -> list[Counter]:
        """Return the counters for `stats`."""
        return [
            Counter("objections", self._objections, "times a node that was reported as silent was heard here")
        ]
