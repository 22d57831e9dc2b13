"""The heartbeat engine: what comes in, what goes out by the clock, and what users see of the members."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from random import Random
from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from zope.interface import implementer

from gomd.cluster.isolation import Isolation
from gomd.cluster.membership.admission import Anyone, IAdmission
from gomd.cluster.membership.broadcasts import Broadcasts
from gomd.cluster.membership.failure_detector import FailureDetector, IVerdicts
from gomd.cluster.membership.heartbeats import Heartbeats
from gomd.cluster.membership.id_conflicts import IdConflicts
from gomd.cluster.membership.indirect_probes import IndirectProbes
from gomd.cluster.membership.joins import Joins
from gomd.cluster.membership.member import Member
from gomd.cluster.membership.receive import Receiver
from gomd.cluster.membership.rejoin import Contacts, Rejoin
from gomd.cluster.membership.rumors import Rumors
from gomd.cluster.membership.settings import Settings, Timing
from gomd.cluster.membership.state_changes import StateChanges, shortened
from gomd.cluster.membership.steady_clock import SteadyClock
from gomd.cluster.membership.table import Members
from gomd.cluster.membership.transport import Address, IPeerTransport
from gomd.cluster.names import find_node
from gomd.interfaces import IEvents, IMembership
from libgomd.model import Counter, EventKind, Node
from libgomd.wallclock import Wall
from libgomd.wire import messages
from libgomd.wire.messages import Datagram, MemberState, Notice

#: A node that nobody watches is checked when so many of its heartbeats are missing.
_MISSED: Final = 5
#: Heartbeats after the start at which it announces itself again, while it does not know all.
_ANNOUNCE: Final = (0.1, 0.3, 0.6, 1.0, 1.8, 3.2)
#: Times that a goodbye is said, and seconds between them.
_GOODBYES: Final = 4
_GOODBYE: Final = 0.05


@implementer(IMembership, IVerdicts)
class HeartbeatEngine:
    """
    Every node tells all others that it is up; who falls silent is probed, suspected, called down.

    :param own: gives this node, with the age of its values. Called for each heartbeat.
    :param instance: which start of this daemon: milliseconds since the epoch.
    :param random: for moments and choices, never for secrets.
    :param wall: gives the time of events. :param roll: who may be a member; by default whoever has the key.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        own: Callable[[], Node],
        instance: int,
        transport: IPeerTransport,
        clock: IReactorTime,
        random: Random,
        events: IEvents,
        settings: Settings,
        wall: Wall,
        roll: IAdmission | None = None,
    ) -> None:
        me = own()
        self.own_id = me.id
        self.instance = instance
        self._own = own
        self._transport = transport
        self._clock = clock
        self._random = random
        self._settings = settings
        self._roll = roll = roll or Anyone()
        self._time = time = SteadyClock(clock)
        self._timing = timing = Timing(settings.heartbeat)
        listed = [node for node in roll.nodes() if node.id != me.id]
        self._members = members = Members(me.id, max(settings.max_nodes - 1, len(listed)))
        self._searching = Rejoin(timing, random)
        self._contacts = Contacts()
        self._changes = changes = StateChanges(me.id, members, self._searching, events, wall)
        self._telling = telling = Heartbeats(own, transport, members, random, settings, timing)
        self._news = news = Broadcasts(telling.wide)
        self._checks = checks = FailureDetector(me.id, members, transport, timing, random, self)
        self._rivals = rivals = IdConflicts(me.id, me.name, instance, transport, changes, timing)
        self._arrivals = Joins(
            me.id, me.name, members, roll, changes, checks, news, rivals, telling, transport, timing, random,
            time,
        )  # fmt: skip
        self._hearsay = Rumors(
            me.id,
            members,
            changes,
            checks,
            news,
            self._contacts,
            transport,
            timing,
            random,
            telling.forward,
            telling.contact,
        )
        self._helping = helping = IndirectProbes(transport, timing, random)
        self._reception = Receiver(
            me.id, instance, transport, clock, time, self._arrivals, changes, checks, self._hearsay, helping,
            news, rivals, telling, 3 * settings.heartbeat,
        )  # fmt: skip
        self._isolation = Isolation(settings.heartbeat)
        self._loop = LoopingCall(self._tick)
        self._loop.clock = clock
        self._phase: IDelayedCall | None = None
        self._running = False
        self._next_sweep = 0.0
        self._announcements: list[float] = []
        self._received = 0
        for node in listed:
            members.add(Member(node.id, node.name, (node.address, settings.port), time.now()))

    # -- its life

    def start(self) -> None:
        """Announce this node, and go on until `stop`."""
        self._time.tick(0.0, 0.0)
        now = self._time.now()
        self._running = True
        self._announcements = [now + self._timing.heartbeat * each for each in _ANNOUNCE]
        self._telling.begin(now)
        self._next_sweep = now + self._timing.heartbeat
        for member in self._members:
            self._searching.add(member.address, now)
        self._telling.announce(self._searching.step(self._seeds(), (), now), multicast=True)
        # Daemons that start together do not all work at the same moment for ever after.
        phase = self._random.random() * self._timing.tick
        self._phase = self._clock.callLater(phase, self._loop.start, self._timing.tick)

    def stop(self, reason: str = "gomd stopped") -> Deferred[None]:
        """Say goodbye to everybody, four times; fires when that is done."""
        if not self._running:
            return deferLater(self._clock, 0.0)
        self._running = False
        if self._loop.running:
            self._loop.stop()
        elif self._phase is not None and self._phase.active():
            self._phase.cancel()
        self._telling.look(self._time.now())
        goodbye = messages.Leave(self._telling.incarnation, shortened(reason))
        self._telling.wide(goodbye, len(self._members))
        for count in range(1, _GOODBYES):
            self._clock.callLater(_GOODBYE * count, self._telling.wide, goodbye, len(self._members))
        return deferLater(self._clock, _GOODBYE * (_GOODBYES - 0.5))

    def set_seeds(self, seeds: tuple[Address, ...]) -> None:
        """Look for these seeds from now on."""
        self._settings = replace(self._settings, seeds=seeds)

    def set_keys(self, keys: tuple[bytes, ...]) -> None:
        """There is nothing to change: the transport seals all traffic of this engine."""

    def _seeds(self) -> list[Address]:
        me = (self._own().address, self._settings.port)
        return [seed for seed in self._settings.seeds if seed != me]

    # -- what comes in

    def receive(self, datagram: Datagram, address: Address, multicast: bool = False) -> None:
        """
        Take a fresh datagram of another daemon; any kind is a sign of life.

        :param address: where it came from. :param multicast: whether it came by multicast.
        """
        node, instance, _sent_at, sequence, message = datagram
        self._received += 1
        member = self._members.get(node)
        if (
            type(message) is messages.Heartbeat
            and member is not None
            and member.instance == instance
            and member.sequence < sequence
            and member.state is MemberState.UP
            and member.address == (address[0], message.port)
            and not (message.announce or message.notes or member.suspects or node in self._checks)
            and member.name == message.name
        ):  # the way of nearly every datagram: up to 150 a second
            member.sequence = sequence
            member.message = message
            member.heard = now = self._time.now()
            member.valued = self._time.whole()
            if multicast:
                member.multicast = now
        elif self._running:
            self._reception.take(datagram, member, address, multicast)

    # -- by the clock

    def _tick(self) -> None:
        """Look at everything. Never raises: an escaping error would end the loop."""
        try:
            self._step()
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("membership failed")

    def _step(self) -> None:
        timing, members = self._timing, self._members
        if self._time.tick(timing.tick, timing.heartbeat):
            self._checks.clear()
        now = self._time.now()
        for member in members.watched:
            if now - member.alive > timing.silence and member.id not in self._checks:
                self._checks.start(member, now)
        self._checks.step(now)
        self._helping.step(now)
        self._arrivals.claims.step(now)
        self._news.step()
        self._telling.announce(self._searching.step(self._seeds(), members.addresses, now), multicast=False)
        self._telling.contact(self._contacts.fresh())
        self._telling.contact(self._contacts.step(members.addresses), again=True)
        if self._announcements and now >= self._announcements[0]:
            del self._announcements[0]
            self._announce_again()
        if now >= self._next_sweep:
            self._next_sweep = now + timing.heartbeat
            self._sweep(now)
        self._telling.tell_of_newcomers()
        self._telling.beat(now)

    def _announce_again(self) -> None:
        """The first announcement, or the answer to it, may have been lost."""
        total, who = self._reception.fullest
        if not self._members.up:
            self._telling.announce(self._seeds(), multicast=True)
        elif who is not None and self._members.count + 1 < total:
            self._telling.announce([who], multicast=False)

    def _sweep(self, now: float) -> None:
        """Look at every node: who is silent though nobody reported it, who was down for too long."""
        self._telling.look(now)
        silence = max(self._timing.silence, _MISSED * self._telling.interval())
        for member in list(self._members):
            # A moment that this process was away for can have made it look as if it lay ahead.
            member.heard, member.vouched = min(member.heard, now), min(member.vouched, now)
            if member.state is MemberState.UP:
                if now - member.alive > silence:
                    self._checks.start(member, now)
            elif now - member.gone > self._settings.forget and not self._roll.fixed:
                self._members.remove(member)
        self._look_for_isolation(now)

    def _look_for_isolation(self, now: float) -> None:
        up = self._members.count
        down = 0 if up else sum(member.state is MemberState.DOWN for member in self._members)
        if text := self._isolation.look(up, down, len(self._seeds()), now):
            if self._isolation.said:
                self._changes.warn(self.own_id, self._own().name, text)
            else:
                self._changes.publish(EventKind.UP, self.own_id, self._own().name, text, self.own_id)

    # -- what becomes of a check

    def suspected(self, member: Member, reason: str) -> None:
        """See `IVerdicts.suspected`."""
        self._changes.suspected(member, self.own_id, reason)
        notice = self._notice(MemberState.SUSPECT, member, reason)
        self._transport.send(notice, [member.address])
        self._news.spread(notice)

    def dead(self, member: Member, reason: str) -> None:
        """See `IVerdicts.dead`."""
        notice = self._notice(MemberState.DOWN, member, reason)
        self._changes.gone(member, MemberState.DOWN, self.own_id, reason, self._time.now())
        self._news.spread(notice)

    def answered(self, member: Member, by: int, asked_by: Iterable[Address]) -> None:
        """See `IVerdicts.answered`."""
        self._news.drop(member.id)
        self._changes.cleared(member, by, f"it answers node {by}")
        self._hearsay.object(member, f"it answers node {by}", asked_by)

    def _notice(self, state: MemberState, member: Member, reason: str) -> Notice:
        return Notice(state, member.id, member.instance, member.incarnation, self.own_id, shortened(reason))

    def wrong_clock(self, node: int, name: str, skew: float) -> None:
        """Take notice that the clock of a node is ``skew`` seconds ahead of ours, so that it is not heard."""
        if self._rivals.is_news(node, "clock", self._time.now()):
            way = "ahead of" if skew > 0 else "behind"
            self._changes.publish(
                EventKind.SUSPECT, node, name,
                f"its clock is {abs(skew):.0f} s {way} ours, so its datagrams are dropped: set the clocks",
                self.own_id,
            )  # fmt: skip

    def right_clock(self, node: int) -> None:
        """Take notice that the clock of a node is right again."""
        self._rivals.is_over(node, "clock")

    def differing(self, node: int) -> None:
        """A node is there, but its clock differs: look for it often, to have it back once it is right."""
        member = self._members.get(node)
        if member is not None and member.state is not MemberState.UP:
            self._searching.hurry(member.address, self._time.now())

    def replayed(self, node: int) -> None:
        """Take notice that all that comes from a node has come before."""
        member = self._members.get(node)
        self._changes.publish(
            EventKind.SUSPECT, node, member.name if member else "",
            "heard, but all of it replayed: its machine was put back to a snapshot, or somebody sends "
            "recordings of it; it is asked to begin a new numbering",
            self.own_id,
        )  # fmt: skip

    def renumbered(self, name: str) -> None:
        """Take notice that node ``name`` had heard nothing new from us, and that our numbers leapt."""
        if self._rivals.is_news(self.own_id, "replayed", self._time.now()):
            self._changes.publish(
                EventKind.SUSPECT, self.own_id, self._own().name,
                f"{name} had heard all that this node sends before, as after a return to a snapshot: a new "
                "numbering begins",
                self.own_id,
            )  # fmt: skip
        self.look_again()

    def copied(self, host: str) -> None:
        """Take notice that a daemon at ``host`` has our id and instance, and sends what we did not."""
        if self._rivals.is_news(self.own_id, "copied", self._time.now()):
            self._changes.warn(
                self.own_id, self._own().name,
                f"a copy of this machine runs at {host}, with a copy of this daemon: give the copy another "
                "[node] id and start its gomd again",
            )  # fmt: skip

    def look_again(self) -> None:
        """Show this node to all others at once: it may not have been heard, or was away itself."""
        if self._running:
            self._searching.again(self._time.now())
            self._telling.wide(self._telling.heartbeat())

    def slept(self, seconds: float) -> None:
        """The machine slept, which no clock here counts: what others said is older by that."""
        for member in self._members:
            member.valued -= seconds

    # -- what users see

    def nodes(self) -> Sequence[Node]:
        """See `IMembership.nodes`."""
        now = self._time.whole()
        known = [member.node(now) for member in self._members]
        return sorted([self._own(), *known], key=lambda node: node.id)

    def find(self, key: str) -> Node:
        """See `IMembership.find`."""
        if key.isascii() and key.isdigit():  # the way of every question: no list of a thousand nodes
            member = self._members.get(int(key))
            if member is not None:
                return member.node(self._time.whole())
            if int(key) == self.own_id:
                return self._own()
        return find_node(self.nodes(), key)

    def port_of(self, node: int) -> tuple[Address, int] | None:
        """Where a node that is up is asked by datagram, and its TCP port, 0 for none. None: it is not up."""
        member = self._members.get(node)
        if member is None or member.state is not MemberState.UP or member.message is None:
            return None
        return member.address, member.message.stream_port

    def counters(self) -> Iterable[Counter]:
        """See `IMembership.counters`."""
        yield Counter("nodes", len(self._members) + 1, "configured nodes")
        yield Counter("nodes_up", self._members.count + 1, "nodes that are up")
        yield Counter("nodes_lost", len(self._searching), "addresses that are looked for")
        yield Counter("membership_received", self._received, "datagrams of other nodes")
        yield from chain.from_iterable(
            part.counters()
            for part in (
                self._changes, self._checks, self._helping, self._hearsay, self._arrivals, self._rivals,
                self._reception,
            )
        )  # fmt: skip
