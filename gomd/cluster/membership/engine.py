"""
The heartbeat engine: gomd's membership, which every other part of this package serves.

Theory of operation. Every node sends heartbeats, by multicast where that works and directly elsewhere, and
each heartbeat carries the node's load. `receive` processes what comes in; nearly all of it are plain
heartbeats, which take a short path. `_tick` runs five times per heartbeat and does everything periodic:
it lets the failure detector check silent nodes, repeats broadcasts, contacts lost addresses and seeds, and
sends heartbeats. Each node watches the next three members in a ring, so a death is noticed without every
node having to look at every other one; a full sweep once a heartbeat finds what the watchers missed.
State changes travel as notices, which are only claims: a node that is said to be up is contacted, and it is
marked up only after it has been heard directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from random import Random
from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from zope.interface import implementer

from gomd.cluster.membership.admission import Anyone, IAdmission, listed_members
from gomd.cluster.membership.announcements import Announcements
from gomd.cluster.membership.broadcasts import Broadcasts
from gomd.cluster.membership.datagram_warnings import DatagramWarnings
from gomd.cluster.membership.detector_outcomes import DetectorOutcomes
from gomd.cluster.membership.failure_detector import FailureDetector
from gomd.cluster.membership.goodbye import say_goodbye
from gomd.cluster.membership.heartbeats import Heartbeats
from gomd.cluster.membership.id_conflicts import IdConflicts
from gomd.cluster.membership.indirect_probes import IndirectProbes
from gomd.cluster.membership.joins import Joins
from gomd.cluster.membership.receive import DatagramReceiver
from gomd.cluster.membership.rejoin import Contacts, Rejoin
from gomd.cluster.membership.rumors import Rumors
from gomd.cluster.membership.second_address import families_of
from gomd.cluster.membership.settings import Settings, Timing
from gomd.cluster.membership.state_changes import StateChanges
from gomd.cluster.membership.steady_clock import SteadyClock
from gomd.cluster.membership.sweep import Sweep
from gomd.cluster.membership.table import Members
from gomd.cluster.membership.transport import Address, IPeerTransport
from gomd.cluster.names import find_node
from gomd.cluster.node_list import NodeList
from gomd.interfaces import IEvents, IMembership
from libgomd.model import Counter, Node
from libgomd.shared_wakeups import SharedWakeups
from libgomd.wallclock import Wall
from libgomd.wire import messages
from libgomd.wire.messages import Datagram, MemberState

#: Heartbeats without a datagram of another node after which a node that knows no other one ticks slowly.
_QUIET_HEARTBEATS: Final = 10


@implementer(IMembership)
class HeartbeatEngine:
    """
    Membership by heartbeats; see the theory of operation above.

    :param own: gives this node, with the age of its values. Called for each heartbeat.
    :param instance: which start of this daemon, in milliseconds since the epoch.
    :param random: for times and choices, never for secrets.
    :param wall: gives the time stamp of events.
    :param admission: which nodes may be members; by default every node that has the key.
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
        admission: IAdmission | None = None,
    ) -> None:
        me = own()
        self.own_id = me.id
        families = settings.families or families_of(me)
        self.instance = instance
        self._own = own
        self._transport = transport
        self._clock = clock
        self._random = random
        admission = admission or Anyone()
        self._time = time = SteadyClock(clock)
        self._timing = timing = Timing(settings.heartbeat)
        listed = listed_members(admission, me.id, families, settings.port, time.now())
        self._members = members = Members(me.id, max(settings.max_nodes - 1, len(listed)))
        self._rejoin = Rejoin(timing, random)
        self._contacts = Contacts()
        self._changes = changes = StateChanges(me.id, members, self._rejoin, events, wall)
        self._heartbeats = heartbeats = Heartbeats(own, transport, members, random, settings, timing)
        self._announcements = announcements = Announcements(
            own, members, heartbeats, settings, families, timing
        )
        self._broadcasts = broadcasts = Broadcasts(heartbeats.broadcast)
        outcomes = DetectorOutcomes(
            me.id, transport, changes, broadcasts, time, lambda *told: self._rumors.contradict(*told)
        )
        self._detector = detector = FailureDetector(me.id, members, transport, timing, random, outcomes)
        self._id_conflicts = id_conflicts = IdConflicts(
            me.id, me.name, instance, transport, changes, timing, clock.seconds
        )  # fmt: skip
        self._joins = joins = Joins(
            me.id, me.name, members, admission, changes, detector, broadcasts, id_conflicts, heartbeats,
            transport, timing, random, time, families,
        )  # fmt: skip
        self._rumors = rumors = Rumors(
            me.id, members, changes, detector, broadcasts, self._contacts, transport, timing, random,
            heartbeats.gossip, heartbeats.greet, me.name, families,
        )  # fmt: skip
        self._indirect_probes = indirect_probes = IndirectProbes(transport, timing, random)
        self._receiver = DatagramReceiver(
            me.id, instance, transport, clock, time, joins, changes, detector, rumors, indirect_probes,
            broadcasts, id_conflicts, heartbeats, 3 * settings.heartbeat,
        )  # fmt: skip
        self._warnings = DatagramWarnings(own, members, changes, id_conflicts, time)
        self._sweep = Sweep(
            own, members, heartbeats, detector, changes, admission, timing,
            lambda: len(announcements.seeds()), settings.forget,
        )  # fmt: skip
        self._loop = LoopingCall(self._tick)
        self._loop.clock = SharedWakeups(clock)
        self._phase: IDelayedCall | None = None
        self._running = False
        self._interval = timing.tick
        self._spoken_to = 0.0
        self._list_of_nodes = NodeList(own, self._others, time.now_with_gaps)
        self._received = 0
        for member in listed:
            members.add(member)

    # -- start and stop

    def start(self) -> None:
        """Announce this node, and run until `stop`."""
        self._time.tick(0.0, 0.0)
        self._spoken_to = now = self._time.now()
        self._running = True
        self._announcements.schedule(now)
        self._heartbeats.schedule_first(now)
        self._sweep.schedule(now)
        for member in self._members:
            for place in member.places:
                self._rejoin.add(place, now)
        self._heartbeats.announce(self._rejoin.step(self._announcements.seeds(), (), now), multicast=True)
        # A random phase, so that daemons that start together do not work at the same moments for ever.
        phase = self._random.random() * self._timing.tick
        self._phase = self._clock.callLater(phase, self._loop.start, self._timing.tick)

    def stop(self, reason: str = "gomd stopped") -> Deferred[None]:
        """Send a leave message to all members, several times. The Deferred fires when that is done."""
        if not self._running:
            return deferLater(self._clock, 0.0)
        self._running = False
        if self._loop.running:
            self._loop.stop()
        elif self._phase is not None and self._phase.active():
            self._phase.cancel()
        self._heartbeats.update_unreached(self._time.now())
        return say_goodbye(self._clock, self._heartbeats, len(self._members), reason)

    def set_seeds(self, seeds: tuple[Address, ...]) -> None:
        """Replace the seeds."""
        self._announcements.set_seeds(seeds)

    def set_keys(self, keys: tuple[bytes, ...]) -> None:
        """There is nothing to change: the transport seals all traffic of this engine."""

    # -- incoming datagrams

    def receive(self, datagram: Datagram, address: Address, multicast: bool = False) -> None:
        """
        Process a datagram of another daemon that is no replay. Any kind is a sign of life.

        :param address: its source address. :param multicast: whether it came by multicast.
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
            and not (message.announce or message.notes or member.suspects or node in self._detector)
            and member.name == message.name
        ):  # the path of nearly every datagram: up to 150 a second
            member.sequence = sequence
            member.message = message
            if message.incarnation > member.incarnation:
                member.incarnation = message.incarnation
            member.heard_at = now = self._time.now()
            member.values_at = self._time.now_with_gaps()
            if multicast:
                member.multicast_at = now
        elif self._running:
            self._spoken_to = self._time.now()
            self._receiver.receive(datagram, member, address, multicast)
            if self._interval > self._timing.tick:
                self._hurry()

    # -- periodic work

    def _tick(self) -> None:
        """Do the periodic work. Never raises: an escaping error would end the loop."""
        try:
            self._step()
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("membership failed")

    def _step(self) -> None:
        timing, members = self._timing, self._members
        if self._time.tick(self._interval, timing.heartbeat):
            self._detector.cancel_all()
        now = self._time.now()
        for member in members.watched:
            if now - member.last_alive > timing.silence_timeout and member.id not in self._detector:
                self._detector.start(member, now)
        self._detector.step(now)
        self._indirect_probes.step(now)
        self._joins.identity_checks.step(now)
        self._broadcasts.step()
        lost = self._rejoin.step(self._announcements.seeds(), members.addresses, now)
        self._heartbeats.announce(lost, multicast=False)
        self._heartbeats.greet(self._contacts.take_new())
        self._heartbeats.greet(self._contacts.step(members.addresses), again=True)
        self._announcements.step(*self._receiver.largest_roster, now)
        self._sweep.step(now)
        self._heartbeats.send_newcomers()
        self._heartbeats.send_due(now)
        self._interval = self._loop.interval = timing.heartbeat if self._is_alone(now) else timing.tick

    def _is_alone(self, now: float) -> bool:
        """
        Whether no other node is known, sought or has been heard lately, so that one tick a heartbeat will do.

        The tick is a third of what an idle daemon without a cluster costs.
        """
        quiet = now - self._spoken_to > self._timing.heartbeat * _QUIET_HEARTBEATS
        return quiet and not (len(self._members) or len(self._rejoin) or self._announcements.are_due)

    def _hurry(self) -> None:
        """Tick as often as a cluster needs it again, from now on."""
        if self._loop.running:
            self._time.tick(self._interval, self._timing.heartbeat)
            self._interval = self._timing.tick
            self._loop.stop()
            self._loop.start(self._interval, now=False)

    # -- what the peer port reports

    def wrong_clock(self, node: int, name: str, skew: float) -> None:
        """See `DatagramWarnings.wrong_clock`."""
        self._warnings.wrong_clock(node, name, skew)

    def right_clock(self, node: int) -> None:
        """See `DatagramWarnings.right_clock`."""
        self._warnings.right_clock(node)

    def replayed(self, node: int) -> None:
        """See `DatagramWarnings.replayed`."""
        self._warnings.replayed(node)

    def copied(self, host: str) -> None:
        """See `DatagramWarnings.copied`."""
        self._warnings.copied(host)

    def differing(self, node: int) -> None:
        """Contact a node with a wrong clock often, so that it is back soon after its clock is right."""
        member = self._members.get(node)
        if member is not None and member.state is not MemberState.UP:
            for place in member.places:
                self._rejoin.retry_soon(place, self._time.now())

    def renumbered(self, name: str) -> None:
        """Warn that node ``name`` took our datagrams for replays, and announce this node again."""
        self._warnings.renumbered(name)
        self.look_again()

    def look_again(self) -> None:
        """Announce this node to all others at once, because it may not have been heard for a while."""
        if self._running:
            self._heartbeats.outdate(self._time.now())
            self._rejoin.retry_all(self._time.now())
            self._heartbeats.broadcast(self._heartbeats.make_heartbeat())

    def slept(self, seconds: float) -> None:
        """Age all values by the seconds that the machine slept, which no clock here counts."""
        for member in self._members:
            member.values_at -= seconds

    # -- what users see

    def nodes(self) -> Sequence[Node]:
        """See `IMembership.nodes`."""
        return self._list_of_nodes.nodes(self._changes.version)

    def _others(self) -> Iterator[Node]:
        now = self._time.now_with_gaps()
        return (member.node(now) for member in self._members)

    def find(self, key: str) -> Node:
        """See `IMembership.find`."""
        if key.isascii() and key.isdigit():  # the path of every question: builds no list of a thousand nodes
            member = self._members.get(int(key))
            if member is not None:
                return member.node(self._time.now_with_gaps())
            if int(key) == self.own_id:
                return self._own()
        return find_node(self.nodes(), key)

    def port_of(self, node: int) -> tuple[Address, int] | None:
        """Return a node's address for datagrams and its TCP port (0 for none); None when it is not up."""
        member = self._members.get(node)
        if member is None or member.state is not MemberState.UP or member.message is None:
            return None
        return member.address, member.message.stream_port

    def is_rival(self, node: int, host: str) -> bool:
        """See `MembershipListener.is_rival`."""
        member = self._members.get(node)
        if member is None or member.state is not MemberState.UP:
            return False
        return self._id_conflicts.rivals.is_rival(node, host, [place[0] for place in member.places])

    def counters(self) -> Iterable[Counter]:
        """See `IMembership.counters`."""
        yield Counter("nodes", len(self._members) + 1, "configured nodes")
        yield Counter("nodes_up", self._members.up_count + 1, "nodes that are up")
        yield Counter("nodes_lost", len(self._rejoin), "addresses of seeds and lost nodes that are contacted")
        yield Counter("membership_received", self._received, "datagrams of other nodes")
        yield Counter(
            "multicast_unheard", round(self._heartbeats.seconds_unheard(self._time.now())),
            "seconds for which nodes have been up and multicast of none has come",
        )  # fmt: skip
        yield from chain.from_iterable(
            part.counters()
            for part in (
                self._changes, self._detector, self._indirect_probes, self._rumors, self._joins,
                self._id_conflicts, self._receiver,
            )
        )  # fmt: skip
