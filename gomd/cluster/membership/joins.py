"""Joins: nodes that are new, restarted, at a new address, or that use an id of another node."""

from __future__ import annotations

from random import Random

from gomd.cluster.membership.admission import IAdmission
from gomd.cluster.membership.broadcasts import Broadcasts
from gomd.cluster.membership.failure_detector import FailureDetector
from gomd.cluster.membership.heartbeats import Heartbeats
from gomd.cluster.membership.id_conflicts import IdConflicts
from gomd.cluster.membership.identity_checks import Claim, ClaimKind, IdentityChecks
from gomd.cluster.membership.member import NEVER, Member
from gomd.cluster.membership.second_address import SecondAddresses, place_here
from gomd.cluster.membership.settings import Timing
from gomd.cluster.membership.state_changes import StateChanges
from gomd.cluster.membership.steady_clock import SteadyClock
from gomd.cluster.membership.table import Members
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.model import Counter, EventKind
from libgomd.wire.messages import Datagram, Heartbeat, MemberState


class Joins:
    """
    Decides whether the sender of a heartbeat becomes a member, and adds it.

    The source address of a packet is not sealed: somebody who hears a heartbeat can send it on from an
    address of their own. A node is therefore taken at once only at the address that its heartbeat names, and
    at any other one after it has answered a probe there.
    """

    def __init__(
        self,
        own_id: int,
        name: str,
        members: Members,
        admission: IAdmission,
        changes: StateChanges,
        detector: FailureDetector,
        broadcasts: Broadcasts,
        id_conflicts: IdConflicts,
        heartbeats: Heartbeats,
        transport: IPeerTransport,
        timing: Timing,
        random: Random,
        time: SteadyClock,
        families: frozenset[bool],
    ) -> None:
        self._own_id = own_id
        self._name = name
        self._members = members
        self._admission = admission
        self._changes = changes
        self._detector = detector
        self._broadcasts = broadcasts
        self._id_conflicts = id_conflicts
        self._heartbeats = heartbeats
        self._timing = timing
        self._time = time
        self._refused = self._full = 0
        self.identity_checks = IdentityChecks(
            transport, timing, random, self._accepted, lambda claim: id_conflicts.report(claim, time.now())
        )
        self.second_addresses = SecondAddresses(
            members, admission, changes, self.identity_checks, timing, heartbeats.interval, families
        )

    def receive_unknown(
        self, datagram: Datagram, message: Heartbeat, member: Member | None, address: Address, now: float
    ) -> Member | None:
        """
        Process the heartbeat of an unknown node, or of an unknown instance of a known node.

        :param member: the member that is known under its id, if any.
        :returns: the member if the sender is accepted, None if it is refused or must be verified first.
        """
        place = (address[0], message.port)
        node, instance, sequence = datagram.sender, datagram.instance, datagram.sequence
        if self._refuses(datagram, message, member, address, now):
            return None
        start = self.identity_checks.start
        if member is None:
            member = Member(node, message.name, place, now)
            if not message.is_from(address[0]):
                if start(ClaimKind.NEW, member, message, instance, sequence, place, now):
                    self._greet(message, address)
                return None
            return member if self._add(member, message, instance, sequence, now) else None
        rival = member.state is MemberState.UP and place not in member.places
        if not rival:
            if instance > member.instance and (place in member.places or message.is_from(address[0])):
                self._join(member, message, instance, sequence, place, now)
                return member
            start(ClaimKind.RETURNED, member, message, instance, sequence, place, now)
        elif datagram.sent_at < member.instance:
            pass  # sent before the known instance was started: late, or a recording of an earlier one
        elif not self._id_conflicts.is_known(node, instance, now):
            start(ClaimKind.RIVAL, member, message, instance, sequence, place, now)
        return None

    def _add(self, member: Member, message: Heartbeat, instance: int, sequence: int, now: float) -> bool:
        """Add a node that was not known. Return whether there is room for it."""
        added = self._members.add(member)
        if added:
            self._join(member, message, instance, sequence, member.address, now)
        else:
            self._report_full(member, now)
        return added

    def _greet(self, message: Heartbeat, sender: Address) -> None:
        """Ask for a heartbeat from the address that one names, because it came from another one."""
        host = place_here(message.address, sender)
        if host:
            self._heartbeats.greet([(host, message.port)], again=True)

    def receive_from_new_address(
        self, datagram: Datagram, message: Heartbeat, member: Member, address: Address, now: float
    ) -> None:
        """Process the heartbeat of a known instance that comes from another address than before."""
        if self._refuses(datagram, message, member, address, now):
            return
        place = (address[0], message.port)
        if member.state is MemberState.UP and self.second_addresses.from_heartbeat(
            member, message, datagram.sequence, place, now
        ):
            return
        silent = now - member.heard_at > self._timing.heartbeat * 2
        strayed = message.is_from(place[0]) and not member.is_named
        if member.state is not MemberState.UP or silent or strayed:
            self.identity_checks.start(
                ClaimKind.MOVED, member, message, datagram.instance, datagram.sequence, place, now
            )

    def _refuses(
        self, datagram: Datagram, message: Heartbeat, member: Member | None, address: Address, now: float
    ) -> bool:
        node = datagram.sender
        refusal = self._admission.refusal(node, address[0])
        if refusal:
            self._refused += 1
            if self._id_conflicts.is_news(node, "refusal", now):
                to = [(address[0], message.port), *(member.places if member is not None else ())]
                self._id_conflicts.report_refusal(node, message, datagram.instance, refusal, to)
        return bool(refusal)

    def _report_full(self, member: Member, now: float) -> None:
        self._full += 1
        if self._id_conflicts.is_news(self._own_id, "full", now):
            self._changes.warn(
                member.id, member.name,
                f"node {member.id} at {member.address[0]} is not accepted, {len(self._members) + 1} others "
                "are up: raise [peers] max_nodes if they are all yours",
            )  # fmt: skip

    def _accepted(self, claim: Claim) -> None:
        """Apply a claim that was verified."""
        now, member = self._time.now(), claim.member
        known = self._members.get(member.id)
        if claim.kind is ClaimKind.NEW:
            if known is None:
                self._add(member, claim.message, claim.instance, claim.sequence, now)
        elif known is not member:
            pass
        elif claim.kind is ClaimKind.RIVAL and not claim.message.is_from(claim.address[0]):
            # The known one does not answer, and where the other one is has not been proven yet.
            self.identity_checks.start(
                ClaimKind.RETURNED, member, claim.message, claim.instance, claim.sequence, claim.address, now
            )
        elif claim.kind is ClaimKind.SECOND:
            self.second_addresses.accepted(claim, now)
        elif claim.kind is not ClaimKind.MOVED:
            self._join(member, claim.message, claim.instance, claim.sequence, claim.address, now)
        elif claim.instance == member.instance:
            member.heard_at = now
            member.is_named = claim.message.is_from(claim.address[0])
            reason = f"its address changed from {member.address[0]} to {claim.address[0]}"
            if member.state is MemberState.UP:
                self._changes.change_address(member, claim.address, reason)
            else:
                self._members.set_address(member, claim.address)
                self.mark_up(member, EventKind.UP, f"it answers again; {reason}", now)

    def _join(
        self, member: Member, message: Heartbeat, instance: int, sequence: int, place: Address, now: float
    ) -> None:
        """Make an instance that was not known a member that is up."""
        again = ", its daemon was started again" if member.instance else ""
        if member.state is MemberState.UP:
            reason = "its daemon was started again, without a goodbye"
            self._changes.mark_gone(member, MemberState.LEFT, self._own_id, reason, now)
        member.instance, member.incarnation, member.sequence = instance, 0, sequence
        self._members.set_second(member, None)
        member.second_tried = NEVER
        self._members.set_address(member, place)
        member.is_named = message.is_from(place[0])
        member.take(message, self._time.now_with_gaps())
        self.mark_up(member, EventKind.JOIN, f"up at {place[0]}{again}{self._namesake(member)}", now)

    def _namesake(self, member: Member) -> str:
        """Return a clause that warns of another node with the same name; empty when there is none."""
        other = self._own_id if member.name == self._name else self._members.id_of_namesake(member.name)
        return f"; node {other} has the same name" if other else ""

    def mark_up(self, member: Member, kind: EventKind, reason: str, now: float) -> None:
        """Mark a member as up, and end what was going on about it."""
        if kind is EventKind.UP and member.state is MemberState.DOWN:
            self._heartbeats.outdate(now)  # who was down for us has perhaps called us down
        self._detector.cancel(member.id)
        self._broadcasts.invalidate(member.id)
        self._changes.mark_up(member, kind, reason, now)

    def counters(self) -> list[Counter]:
        """Return the counters for `stats`."""
        return [
            Counter("nodes_refused", self._refused, "heartbeats of nodes that may not be members here"),
            Counter(
                "nodes_full",
                self._full,
                "heartbeats of nodes that were not accepted because the table is full",
            ),
            Counter(
                "nodes_evicted",
                self._members.evicted,
                "nodes that were down and were removed to make room for others",
            ),
        ]
