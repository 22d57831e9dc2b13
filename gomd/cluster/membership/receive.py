"""What comes in: who it is from, what it says about its sender, and what it asks for."""

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
from libgomd.wire.messages import Datagram, MemberNote, MemberState, Message, Notice, Probe, ProbeAck


class Receiver:
    """
    :param patience: seconds for which others have to say that this node is down before that is said here.

    Takes what is not one of the plain heartbeats of a node that is up.

    :ivar fullest: how many nodes the fullest roster told of, and who sent it.
    """

    def __init__(
        self,
        own_id: int,
        instance: int,
        transport: IPeerTransport,
        clock: IReactorTime,
        time: SteadyClock,
        arrivals: Joins,
        changes: StateChanges,
        checks: FailureDetector,
        hearsay: Rumors,
        helping: IndirectProbes,
        news: Broadcasts,
        rivals: IdConflicts,
        telling: Heartbeats,
        patience: float = 3.0,
    ) -> None:
        self._own_id = own_id
        self._instance = instance
        self._transport = transport
        self._clock = clock
        self._time = time
        self._arrivals = arrivals
        self._changes = changes
        self._checks = checks
        self._hearsay = hearsay
        self._helping = helping
        self._news = news
        self._rivals = rivals
        self._telling = telling
        self.fullest: tuple[int, Address | None] = (0, None)
        self._refuted = 0
        self._patience = patience
        self._told_down = (-math.inf, -math.inf)  # since when without a break, and when last

    def take(self, datagram: Datagram, member: Member | None, address: Address, multicast: bool) -> None:
        """Take a fresh datagram; ``member`` is what is known under its sender's id."""
        now = self._time.now()
        message = datagram.message
        if datagram.sender == self._own_id:
            self._rivals.heard(datagram, address, now)
            return
        if isinstance(message, Notice) and message.state is MemberState.CONFLICT:
            # Also from a node that is not known, which may be all that a second one of our id meets.
            if message.node == self._own_id:
                self._rivals.told(message, now)
            return
        if isinstance(message, Probe) and message.target in (0, self._own_id):
            ack = ProbeAck(message.request_id, self._own_id, self._instance, self._telling.incarnation)
            self._transport.send(ack, [address])
        known = member is not None and member.instance == datagram.instance and member.state is MemberState.UP
        if isinstance(message, ProbeAck):
            self._arrivals.claims.take(message)
            self._helping.take(message)
        if member is None or member.instance != datagram.instance:
            if not isinstance(message, messages.Heartbeat) or not datagram.sender:
                return
            member = self._arrivals.stranger(datagram, message, member, address, now)
        elif member.state is MemberState.LEFT or not self._sign_of_life(datagram, member, address, now):
            return
        if member is not None and member.state is MemberState.UP:
            if multicast:
                member.multicast = now
            elif not known and isinstance(message, messages.Heartbeat):
                self._telling.newcomer(member, message.announce)
                if not message.announce:
                    self._telling.introduce(member)
            self._act(message, member, address, multicast, now)

    def _sign_of_life(self, datagram: Datagram, member: Member, address: Address, now: float) -> bool:
        """Take a datagram of a start of a node that is known; False when nothing more is to be done."""
        message, up = datagram.message, member.state is MemberState.UP
        if datagram.sequence <= member.sequence:
            if not up:
                return False  # sent before it went, and late
            member.vouched = now
        else:
            member.sequence = datagram.sequence
            place = address
            if isinstance(message, messages.Heartbeat):
                place = (address[0], message.port)
                member.take(message, self._time.whole())
            if place == member.address:
                member.heard = now
            else:
                member.vouched = now
                if isinstance(message, messages.Heartbeat):
                    self._arrivals.elsewhere(datagram, message, member, address, now)
                if not up:
                    return False
        if not up:
            if isinstance(message, messages.Leave):
                return False
            self._arrivals.came_up(member, EventKind.UP, "it answers again", now)
        self._checks.answered(member.id, self._own_id)
        self._changes.cleared(member, self._own_id, f"node {self._own_id} hears from it again")
        return True

    def _act(self, message: Message, member: Member, address: Address, multicast: bool, now: float) -> None:
        """Do what a message of a member that is up asks for."""
        if isinstance(message, messages.Heartbeat):
            self._take_notes(message.notes, address, now)
            if message.announce:
                wait = self._telling.answer(member, multicast, bool(message.notes), now)
                if wait:
                    self._clock.callLater(wait, self._introduce, member)
        elif isinstance(message, ProbeAck):
            self._checks.take(message, member.id, now)
        elif isinstance(message, messages.TrueSpeed):
            member.fast = (member.instance, message.speed)
        elif isinstance(message, messages.IndirectProbe):
            self._helping.ask(message, address, now)
        elif isinstance(message, Notice):
            if message.node != self._own_id:
                self._hearsay.notice(message, address, now)
            elif message.instance == self._instance and message.state is not MemberState.UP:
                self._refute(message.incarnation, address)
                if message.state is MemberState.DOWN:
                    self._called_down(message, now)
        elif isinstance(message, messages.Roster):
            if message.total > self.fullest[0]:
                self.fullest = (message.total, address)
            self._take_notes(message.notes, address, now)
            self._hearsay.ask()
        elif isinstance(message, messages.Leave):
            self._checks.drop(member.id)
            self._news.drop(member.id)
            reason = message.reason or "it said goodbye"
            self._changes.gone(member, MemberState.LEFT, member.id, reason, now)

    def _take_notes(self, notes: Iterable[MemberNote], address: Address, now: float) -> None:
        for note in notes:
            if note.node != self._own_id:
                self._hearsay.note(note, now)
            elif note.instance == self._instance and note.state is not MemberState.UP:
                self._refute(note.incarnation, address)

    def _introduce(self, member: Member) -> None:
        if member.state is MemberState.UP:
            self._telling.introduce(member)

    def _called_down(self, notice: Notice, now: float) -> None:
        """
        Say that others do not hear this node: it has said that it is up, and they go on as before.

        A refutation that arrives ends their news within a heartbeat or two.
        """
        if now - self._told_down[1] > self._patience:
            self._told_down = (now, now)
        first = self._told_down[0]
        self._told_down = (first, now)
        if now - first >= self._patience and self._rivals.is_news(self._own_id, "called down", now):
            self._changes.warn(
                self._own_id, self._telling.name,
                f"node {notice.by} says that this node is down, and does not hear that it is not: see "
                "whether what is sent from here arrives there",
            )  # fmt: skip

    def _refute(self, incarnation: int, address: Address) -> None:
        """Somebody says that this node does not answer: it does."""
        telling = self._telling
        if incarnation < telling.incarnation:
            return  # that has been refuted already
        telling.incarnation = incarnation + 1
        self._refuted += 1
        # Whoever says so hears nothing new of us. Should our numbers have gone back, it does from now on.
        self._transport.renumber()
        self._transport.send(telling.heartbeat(), [address])
        reason = f"node {self._own_id} itself says so"
        self._news.spread(
            Notice(MemberState.UP, self._own_id, self._instance, telling.incarnation, self._own_id, reason)
        )

    def counters(self) -> list[Counter]:
        """What it counted."""
        return [Counter("suspicions_refuted", self._refuted, "times this node said that it is up after all")]
