"""Processes incoming datagrams: what each says about its sender, and what it asks this node to do."""

from __future__ import annotations

import math
from collections.abc import Iterable

from twisted.internet.interfaces import IReactorTime

from gomd.cluster.membership.broadcasts import Broadcasts
from gomd.cluster.membership.failure_detector import FailureDetector
from gomd.cluster.membership.heartbeats import Heartbeats
from gomd.cluster.membership.id_conflicts import IdConflicts
from gomd.cluster.membership.indirect_probes import IndirectProbes
from gomd.cluster.membership.joins import Joins
from gomd.cluster.membership.member import Member
from gomd.cluster.membership.rumors import Rumors
from gomd.cluster.membership.state_changes import StateChanges
from gomd.cluster.membership.steady_clock import SteadyClock
from gomd.cluster.membership.transport import Address, IPeerTransport
from libgomd.model import Counter, EventKind
from libgomd.wire import messages
from libgomd.wire.addresses import is_ipv6
from libgomd.wire.messages import Datagram, MemberNote, MemberState, Message, Notice, Probe, ProbeAck


class DatagramReceiver:
    """
    Processes every datagram that is not a plain heartbeat of a member that is up.

    :param called_down_after: seconds for which others must declare this node down before it warns of it.
    :ivar largest_roster: the largest number of nodes that a roster announced, and its sender.
    """

    def __init__(
        self,
        own_id: int,
        instance: int,
        transport: IPeerTransport,
        clock: IReactorTime,
        time: SteadyClock,
        joins: Joins,
        changes: StateChanges,
        detector: FailureDetector,
        rumors: Rumors,
        indirect_probes: IndirectProbes,
        broadcasts: Broadcasts,
        id_conflicts: IdConflicts,
        heartbeats: Heartbeats,
        called_down_after: float = 3.0,
    ) -> None:
        self._own_id = own_id
        self._instance = instance
        self._transport = transport
        self._clock = clock
        self._time = time
        self._joins = joins
        self._changes = changes
        self._detector = detector
        self._rumors = rumors
        self._indirect_probes = indirect_probes
        self._broadcasts = broadcasts
        self._id_conflicts = id_conflicts
        self._heartbeats = heartbeats
        self.largest_roster: tuple[int, Address | None] = (0, None)
        self._refuted = 0
        self._announced = 0  # the incarnation of the last refutation, which all were told
        self._called_down_after = called_down_after
        self._called_down_at = (-math.inf, -math.inf)  # first notice without a break, and last one

    def receive(self, datagram: Datagram, member: Member | None, address: Address, multicast: bool) -> None:
        """Process a datagram that is no replay. ``member`` is what is known under its sender's id."""
        now = self._time.now()
        message = datagram.message
        if datagram.sender == self._own_id:
            self._id_conflicts.receive_own_id(datagram, address, now)
            return
        if isinstance(message, Notice) and message.state is MemberState.CONFLICT:
            # Accepted from unknown nodes too: a second node with our id may meet nobody else.
            if message.node == self._own_id:
                self._id_conflicts.receive_notice(message, now)
            return
        if isinstance(message, Probe) and message.target in (0, self._own_id):
            ack = ProbeAck(message.request_id, self._own_id, self._instance, self._heartbeats.incarnation)
            self._transport.send(ack, [address])
        known = member is not None and member.instance == datagram.instance and member.state is MemberState.UP
        if isinstance(message, ProbeAck):
            self._joins.identity_checks.receive_ack(message)
            self._indirect_probes.receive_ack(message)
        if member is None or member.instance != datagram.instance:
            if not isinstance(message, messages.Heartbeat) or not datagram.sender:
                return
            member = self._joins.receive_unknown(datagram, message, member, address, now)
        elif member.state is MemberState.LEFT or not self._sign_of_life(datagram, member, address, now):
            return
        if member is not None and member.state is MemberState.UP:
            if multicast:
                if is_ipv6(address[0]) == is_ipv6(member.address[0]):
                    member.multicast_at = now
            elif not known and isinstance(message, messages.Heartbeat):
                self._heartbeats.add_newcomer(member, message.announce)
                if not message.announce:
                    self._heartbeats.send_heartbeat(member)
            self._act(message, member, address, multicast, now)

    def _sign_of_life(self, datagram: Datagram, member: Member, address: Address, now: float) -> bool:
        """Process a datagram of a known instance. Return False when its message must be ignored."""
        message, up = datagram.message, member.state is MemberState.UP
        place = (address[0], message.port) if isinstance(message, messages.Heartbeat) else address
        if datagram.sequence <= member.sequence:
            if not up:
                return False  # a late datagram, sent before the node left
            member.vouched_at = now
            if place == member.second:  # the ports of both families are read one after the other
                self._joins.second_addresses.heard(member, now)
        else:
            member.sequence = datagram.sequence
            if isinstance(message, messages.Heartbeat):
                member.take(message, self._time.now_with_gaps())
            if place == member.address:
                member.heard_at = now
            elif place == member.second:
                self._joins.second_addresses.heard(member, now)
            else:
                member.vouched_at = now
                if isinstance(message, messages.Heartbeat):
                    self._joins.receive_from_new_address(datagram, message, member, address, now)
                if not up:
                    return False
        if not up:
            if isinstance(message, messages.Leave):
                return False
            self._joins.mark_up(member, EventKind.UP, "it answers again", now)
        self._detector.confirm_alive(member.id, self._own_id)
        self._changes.clear_suspicion(member, self._own_id, f"node {self._own_id} hears from it again")
        return True

    def _act(self, message: Message, member: Member, address: Address, multicast: bool, now: float) -> None:
        """Act on the message of a member that is up."""
        if isinstance(message, messages.Heartbeat):
            self._take_notes(message.notes, address, now)
            if message.announce:
                wait = self._heartbeats.answer_announcement(member, multicast, bool(message.notes), now)
                if wait:
                    self._clock.callLater(wait, self._introduce, member)
        elif isinstance(message, ProbeAck):
            self._detector.receive_ack(message, member.id, now)
        elif isinstance(message, messages.TrueSpeed):
            member.true_speed = (member.instance, message.speed)
        elif isinstance(message, messages.Addresses):
            self._joins.second_addresses.told(member, message, member.sequence, address, now)
        elif isinstance(message, messages.IndirectProbe):
            self._indirect_probes.start(message, address, now)
        elif isinstance(message, Notice):
            if message.node != self._own_id:
                self._rumors.receive_notice(message, address, now)
            elif message.instance == self._instance and message.state is not MemberState.UP:
                own = self._heartbeats
                if self._announced <= message.incarnation < own.incarnation and message.by == member.id:
                    # It cannot know: it has heard nothing since `Heartbeats.outdate`, which tells nobody.
                    self._transport.send(own.make_heartbeat(), [address])
                self._refute(message.incarnation, address)
                if message.state is MemberState.DOWN:
                    self._called_down(message, now)
        elif isinstance(message, messages.Roster):
            if message.total > self.largest_roster[0]:
                self.largest_roster = (message.total, address)
            self._take_notes(message.notes, address, now)
            self._rumors.greet_contacts()
        elif isinstance(message, messages.Leave):
            self._detector.cancel(member.id)
            self._broadcasts.invalidate(member.id)
            reason = message.reason or "it said goodbye"
            self._changes.mark_gone(member, MemberState.LEFT, member.id, reason, now)

    def _take_notes(self, notes: Iterable[MemberNote], address: Address, now: float) -> None:
        for note in notes:
            if note.node != self._own_id:
                self._rumors.receive_note(note, address, now)
            elif note.instance == self._instance and note.state is not MemberState.UP:
                self._refute(note.incarnation, address)

    def _introduce(self, member: Member) -> None:
        if member.state is MemberState.UP:
            self._heartbeats.send_heartbeat(member)

    def _called_down(self, notice: Notice, now: float) -> None:
        """
        Warn that others keep declaring this node down although it has refuted that.

        A refutation that arrives ends their broadcasts within a heartbeat or two.
        """
        if now - self._called_down_at[1] > self._called_down_after:
            self._called_down_at = (now, now)
        first = self._called_down_at[0]
        self._called_down_at = (first, now)
        if now - first >= self._called_down_after and self._id_conflicts.is_news(
            self._own_id, "called down", now
        ):
            self._changes.warn(
                self._own_id, self._heartbeats.name,
                f"node {notice.by} says that this node is down, and does not receive its answers: "
                "check that datagrams from here reach that node",
            )  # fmt: skip

    def _refute(self, incarnation: int, address: Address) -> None:
        """Refute a suspicion of this node: raise the incarnation and broadcast that it is up."""
        heartbeats = self._heartbeats
        if incarnation < heartbeats.incarnation:
            return  # already refuted
        heartbeats.incarnation = self._announced = incarnation + 1
        self._refuted += 1
        # The accuser hears nothing new from us. If that is because our sequence numbers went back, this mends
        # it.
        self._transport.renumber()
        self._transport.send(heartbeats.make_heartbeat(), [address])
        reason = f"node {self._own_id} itself says so"
        self._broadcasts.queue(
            Notice(MemberState.UP, self._own_id, self._instance, heartbeats.incarnation, self._own_id, reason)
        )

    def counters(self) -> list[Counter]:
        """Return the counters for `stats`."""
        return [Counter("suspicions_refuted", self._refuted, "times this node refuted a suspicion")]
