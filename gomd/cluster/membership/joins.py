"""Nodes that come: new ones, started again, at another address, or with an id that is taken."""

from __future__ import annotations

from random import Random

from gomd.cluster.membership.admission import IAdmission
from gomd.cluster.membership.broadcasts import Broadcasts
from gomd.cluster.membership.failure_detector import FailureDetector
from gomd.cluster.membership.heartbeats import Heartbeats
from gomd.cluster.membership.id_conflicts import IdConflicts
from gomd.cluster.membership.identity_checks import Claim, IdentityChecks, Kind
from gomd.cluster.membership.member import Member
from gomd.cluster.membership.settings import Timing
from gomd.cluster.membership.state_changes import StateChanges
from gomd.cluster.membership.steady_clock import SteadyClock
from gomd.cluster.membership.table import Members
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.model import Counter, EventKind
from libgomd.wire.messages import Datagram, Heartbeat, MemberState


class Joins:
    """Decides whether the sender of a heartbeat is a member, and makes it one."""

    def __init__(
        self,
        own_id: int,
        name: str,
        members: Members,
        roll: IAdmission,
        changes: StateChanges,
        checks: FailureDetector,
        news: Broadcasts,
        rivals: IdConflicts,
        telling: Heartbeats,
        transport: IPeerTransport,
        timing: Timing,
        random: Random,
        time: SteadyClock,
    ) -> None:
        self._own_id = own_id
        self._name = name
        self._members = members
        self._roll = roll
        self._changes = changes
        self._checks = checks
        self._news = news
        self._rivals = rivals
        self._telling = telling
        self._timing = timing
        self._time = time
        self._refused = self._full = 0
        self.claims = IdentityChecks(
            transport, timing, random, self._accepted, lambda claim: rivals.conflict(claim, time.now())
        )

    def stranger(
        self, datagram: Datagram, message: Heartbeat, member: Member | None, address: Address, now: float
    ) -> Member | None:
        """
        Take the heartbeat of a node, or of a start of a node, that is not known.

        :param member: the one that is known under its id.
        :returns: what is known under its id now, None when it is not (yet) this one.
        """
        place = (address[0], message.port)
        node, instance, sequence = datagram.sender, datagram.instance, datagram.sequence
        if self._refuses(datagram, message, member, address, now):
            return None
        if member is None:
            member = Member(node, message.name, place, now)
            if not self._members.add(member):
                self._no_place(member, now)
                return None
            self._join(member, message, instance, sequence, place, now)
            return member
        rival = member.state is MemberState.UP and place != member.address
        if instance > member.instance and not rival:
            self._join(member, message, instance, sequence, place, now)
            return member
        if not rival:
            self.claims.add(Kind.RETURNED, member, message, instance, sequence, place, now)
        elif not self._rivals.known(node, instance, now):
            self.claims.add(Kind.RIVAL, member, message, instance, sequence, place, now)
        return None

    def elsewhere(
        self, datagram: Datagram, message: Heartbeat, member: Member, address: Address, now: float
    ) -> None:
        """Take the heartbeat of a member that does not come from its address."""
        if self._refuses(datagram, message, member, address, now):
            return
        if member.state is not MemberState.UP or now - member.heard > self._timing.heartbeat * 2:
            place = (address[0], message.port)
            self.claims.add(Kind.MOVED, member, message, datagram.instance, datagram.sequence, place, now)

    def _refuses(
        self, datagram: Datagram, message: Heartbeat, member: Member | None, address: Address, now: float
    ) -> bool:
        node = datagram.sender
        refusal = self._roll.refusal(node, address[0])
        if refusal:
            self._refused += 1
            if self._rivals.is_news(node, "refusal", now):
                to = [(address[0], message.port)]
                if member is not None:
                    to.append(member.address)
                self._rivals.refused(node, message, datagram.instance, refusal, to)
        return bool(refusal)

    def _no_place(self, member: Member, now: float) -> None:
        self._full += 1
        if self._rivals.is_news(self._own_id, "full", now):
            self._changes.warn(
                member.id, member.name,
                f"node {member.id} at {member.address[0]} is not taken, {len(self._members) + 1} others are "
                "up: raise [peers] max_nodes if they are all yours",
            )  # fmt: skip

    def _accepted(self, claim: Claim) -> None:
        """A node is where its claim said."""
        now, member = self._time.now(), claim.member
        if self._members.get(member.id) is not member:
            return
        if claim.kind is not Kind.MOVED:
            self._join(member, claim.message, claim.instance, claim.sequence, claim.address, now)
        elif claim.instance == member.instance:
            member.heard = now
            reason = f"its address changed from {member.address[0]} to {claim.address[0]}"
            if member.state is MemberState.UP:
                self._changes.moved(member, claim.address, reason)
            else:
                self._members.move(member, claim.address)
                self.came_up(member, EventKind.UP, f"it answers again; {reason}", now)

    def _join(
        self, member: Member, message: Heartbeat, instance: int, sequence: int, place: Address, now: float
    ) -> None:
        """Take a start of a node that was not known."""
        again = ", its daemon was started again" if member.instance else ""
        if member.state is MemberState.UP:
            reason = "its daemon was started again, without a goodbye"
            self._changes.gone(member, MemberState.LEFT, self._own_id, reason, now)
        member.instance, member.incarnation, member.sequence = instance, 0, sequence
        self._members.move(member, place)
        member.take(message, self._time.whole())
        self.came_up(member, EventKind.JOIN, f"up at {place[0]}{again}{self._namesake(member)}", now)

    def _namesake(self, member: Member) -> str:
        """Return the end of a sentence about another node of the same name, empty when there is none."""
        other = self._own_id if member.name == self._name else self._members.namesake(member.name)
        return f"; node {other} has the same name" if other else ""

    def came_up(self, member: Member, kind: EventKind, reason: str, now: float) -> None:
        """Make it up, whatever it was."""
        self._checks.drop(member.id)
        self._news.drop(member.id)
        self._changes.up(member, kind, reason, now)

    def counters(self) -> list[Counter]:
        """What it counted."""
        return [
            Counter("nodes_refused", self._refused, "heartbeats of nodes that may not be members here"),
            Counter("nodes_full", self._full, "heartbeats of nodes there was no place for"),
            Counter("nodes_evicted", self._members.evicted, "nodes that were down and made place for others"),
        ]
