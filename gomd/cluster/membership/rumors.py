"""What others say of a node. It makes this one ask; only the node itself makes itself up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Final

from gomd.cluster.membership.broadcasts import Broadcasts
from gomd.cluster.membership.failure_detector import FailureDetector
from gomd.cluster.membership.member import Member
from gomd.cluster.membership.rejoin import Contacts
from gomd.cluster.membership.settings import Timing
from gomd.cluster.membership.state_changes import StateChanges, shortened
from gomd.cluster.membership.table import Members
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.model import Counter
from libgomd.wire.messages import MemberNote, MemberState, Notice

#: How many, on the average, contradict what is said of a node and is not so.
_VOICES: Final = 4


class Rumors:
    """
    Takes notices and notes about other nodes.

    A node said to be suspect or down from which something came within `Timing.suspect` is neither: its
    watchers, and some others chosen by chance, say so to the one who said it.

    :param forward: tells others of news where nobody tells all at once.
    :param contact: shows this node to those at some addresses.
    """

    def __init__(
        self,
        own_id: int,
        members: Members,
        changes: StateChanges,
        checks: FailureDetector,
        news: Broadcasts,
        contacts: Contacts,
        transport: IPeerTransport,
        timing: Timing,
        random: Random,
        forward: Callable[[Notice], None],
        contact: Callable[[Sequence[Address]], None],
    ) -> None:
        self._own_id = own_id
        self._members = members
        self._changes = changes
        self._checks = checks
        self._news = news
        self._contacts = contacts
        self._transport = transport
        self._timing = timing
        self._random = random
        self._forward = forward
        self._contact = contact
        self._objections = 0

    def notice(self, notice: Notice, sender: Address, now: float) -> None:
        """Take a notice about another node, from a member at ``sender``."""
        member = self._members.get(notice.node)
        if member is None or notice.instance != member.instance or not member.instance:
            return
        if notice.state is MemberState.UP:
            self._vouched(member, notice, now)
        elif notice.state is MemberState.CONFLICT or notice.incarnation < member.incarnation:
            return
        elif member.state is not MemberState.UP:
            if notice.state is MemberState.SUSPECT and self._speaks_up(member):
                self._tell(member.state, member, member.gone_by, member.gone_reason, [sender])
        elif now - member.alive < self._timing.suspect:
            if self._speaks_up(member):
                self.object(member, f"node {self._own_id} hears from it", [sender])
        elif notice.state is MemberState.SUSPECT:
            self._suspected(member, notice, sender, now)
        else:
            self._checks.drop(member.id)
            self._changes.gone(member, notice.state, notice.by, notice.reason, now)
            self._forward(notice)

    def _suspected(self, member: Member, notice: Notice, sender: Address, now: float) -> None:
        news = notice.by not in member.suspects
        self._changes.suspected(member, notice.by, notice.reason)
        if member in self._members.watched:
            self._checks.start(member, now, sender)
        if news:
            self._forward(notice)

    def _vouched(self, member: Member, notice: Notice, now: float) -> None:
        """Take notice that it is up: it says so itself by a higher incarnation, or it answered another."""
        itself = notice.by == member.id
        if itself and notice.incarnation <= member.incarnation:
            return
        member.incarnation = max(member.incarnation, notice.incarnation)
        if itself:
            self._forward(notice)
        if member.state is MemberState.UP:
            member.vouched = now
            self._checks.answered(member.id, notice.by)
            self._changes.cleared(member, notice.by, notice.reason)
        elif member.state is MemberState.DOWN:
            self._contacts.add(member.address)

    def _speaks_up(self, member: Member) -> bool:
        return member in self._members.watched or self._random.random() * self._members.count < _VOICES

    def object(self, member: Member, reason: str, to: Iterable[Address]) -> None:
        """Tell those who suspect a member that it is up."""
        self._objections += 1
        self._tell(MemberState.UP, member, self._own_id, reason, to)

    def _tell(self, state: MemberState, member: Member, by: int, reason: str, to: Iterable[Address]) -> None:
        notice = Notice(
            state, member.id, member.instance, member.incarnation, by or self._own_id, shortened(reason)
        )
        self._transport.send(notice, list(to))

    def note(self, note: MemberNote, now: float) -> None:
        """Take what another one's table says of a node that is not this one."""
        member = self._members.get(note.node)
        address = (note.address, note.port)
        if note.state is MemberState.UP:
            if member is None or self._may_be_back(member, note.instance):
                self._contacts.add(address)
        elif (
            member is not None
            and member.state is MemberState.UP
            and member.instance == note.instance
            and member.incarnation <= note.incarnation
            and now - member.alive > self._timing.silence
        ):
            self._checks.start(member, now)

    def ask(self) -> None:
        """Ask those that the notes told of now, not with the next tick."""
        self._contact(self._contacts.fresh())

    def _may_be_back(self, member: Member, instance: int) -> bool:
        """Whether a member that is said to be up is worth asking."""
        if member.state is MemberState.LEFT:
            return instance > member.instance
        return member.state is not MemberState.UP and instance >= member.instance

    def counters(self) -> list[Counter]:
        """What it counted."""
        return [Counter("objections", self._objections, "times a node said to be silent was heard here")]
