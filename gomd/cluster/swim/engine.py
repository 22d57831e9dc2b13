"""
The swim engine: kinship, an implementation of SWIM with Lifeguard, decides which nodes are up.

kinship runs on its own thread and ports. Its event queue is polled periodically. The values of the nodes are
fetched from them by `Summaries`. docs/membership.md describes the differences from the heartbeat engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from gomd.cluster.isolation import Isolation
from gomd.cluster.names import find_node
from gomd.cluster.node_list import NodeList
from gomd.cluster.problem_reports import ProblemReports
from gomd.cluster.summaries import Address, Summaries
from gomd.cluster.swim.changes import MAX_EVENTS, SwimChanges
from gomd.cluster.swim.member import SwimMember, parse_member
from gomd.cluster.swim.runner import FAILURES, SwimRunner
from gomd.interfaces import IEvents, IMembership
from libgomd.model import Counter, EventKind, Node, Status
from libgomd.wallclock import Wall
from libgomd.wire.messages import Datagram

#: Seconds between two polls of kinship's events. A poll takes about a microsecond.
POLL_INTERVAL: Final = 0.25
#: Seconds until the rest of many events is looked at.
_PAUSE: Final = 0.01
#: Seconds after the start in which a node that has two engines may not be up with this one yet.
SETTLING: Final = 10.0

_UP: Final = Status.CONFIGURED | Status.UP
_STATS: Final = {
    "packets_received": "packets of swim received",
    "decrypt_failures": "packets of swim that our key cannot open",
    "replays_dropped": "packets of swim that were replays",
    "probes_sent": "probes sent",
    "probes_failed": "probes that were not answered",
    "indirect_probes": "indirect probes requested",
    "suspicions": "times a node was suspected",
    "refutations": "times this node refuted a suspicion",
    "members_refused": "nodes refused because the table is full",
    "local_health": "Lifeguard's health score: 0 is healthy, more while this node is slow",
}


@implementer(IMembership)
class Swim:
    """
    Membership by kinship. Nodes find each other's peer port in kinship's metadata.

    :param own: gives this node, with the age of its values.
    :param runner: runs kinship on this node. :param summaries: the values of the other nodes.
    :param wall: gives the time stamp of events.
    :param forget: seconds for which a node that is gone stays listed.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        own: Callable[[], Node],
        runner: SwimRunner,
        summaries: Summaries,
        clock: IReactorTime,
        events: IEvents,
        wall: Wall,
        forget: float = 86400.0,
    ) -> None:
        self.own_id = own().id
        self._own = own
        self._runner = runner
        self._summaries = summaries
        self._clock = clock
        self._forget = forget
        self._more: IDelayedCall | None = None
        self._next_step = 0.0
        self._problems = ProblemReports(self.own_id, clock, events, wall)
        self._changes = SwimChanges(
            own, runner, summaries, clock.seconds, events, wall, self._problems, self._compare
        )
        self._members = self._changes.members
        self._list_of_nodes = NodeList(own, self._others, clock.seconds)
        self._comparing: Iterator[None] | None = None
        self._listing = self._stale = False
        self._foreign = 0
        self._settled_at = 0.0
        self._isolation = Isolation(1.0)
        self._loop = LoopingCall(self._tick)
        self._loop.clock = clock

    # -- start and stop

    def start(self) -> None:
        """Join the cluster, and run until `stop`."""
        self._settled_at = self._clock.seconds() + SETTLING
        self._loop.start(POLL_INTERVAL, now=False)
        self._runner.start(self._compare)

    def stop(self) -> Deferred[None]:
        """Leave the cluster and stop kinship. The Deferred fires when that is done."""
        if self._loop.running:
            self._loop.stop()
        if self._more is not None and self._more.active():
            self._more.cancel()
        return Deferred.fromCoroutine(self._runner.stop())

    def set_seeds(self, seeds: Sequence[Address]) -> None:
        """Replace the seeds."""
        self._runner.set_seeds(seeds)

    def set_keys(self, keys: tuple[bytes, ...]) -> None:
        """Seal with the first of these keys from now on, and open with all of them."""
        self._runner.set_keys(keys)

    # -- periodic work

    def _tick(self) -> None:
        """Process the events of kinship. Never raises: an escaping error would end the loop."""
        try:
            if self._more is None or not self._more.active():
                self._poll()
            now = self._clock.seconds()
            if self._changes.joined or now >= self._next_step:
                self._next_step = now + 1.0
                self._step(now)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("membership failed")

    def _poll_again(self) -> None:
        """Process what one poll has left. Never raises."""
        try:
            self._poll()
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("membership failed")

    def _poll(self) -> None:
        """Process some events; the rest follows soon, because thousands of nodes may join at once."""
        if self._comparing is not None:
            more = sum(1 for _ in islice(self._comparing, MAX_EVENTS)) == MAX_EVENTS
            if not more:
                self._comparing, more = None, True
        elif self._listing:
            return
        else:
            more = self._changes.take()
        if more and self._loop.running:
            self._more = self._clock.callLater(_PAUSE, self._poll_again)

    def _compare(self) -> None:
        """Synchronise with kinship's member list: at the start, and after events were lost."""
        self._listing, self._stale = True, False
        Deferred.fromCoroutine(self._list())

    async def _list(self) -> None:
        """Fetch the list. Never raises."""
        try:
            seen = await self._runner.members(parse_member)
            others = [each for each in seen if each is not None and each.id != self.own_id]
            self._comparing = self._changes.synchronised(others)
        except FAILURES as error:
            self._stale = True
            self._log.warn("kinship does not list its members: {error}", error=error)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._stale = True
            self._log.failure("kinship does not list its members")
        finally:
            self._listing = False
        self._poll_again()

    def _step(self, now: float) -> None:
        self._changes.joined = False
        if self._stale and self._runner.cluster is not None:
            self._compare()
        for member in list(self._members.values()):
            if member.gone is not None and now - member.gone > self._forget:
                del self._members[member.id]
                self._changes.version += 1
        self._look_for_isolation(now)
        self._runner.follow_address(
            lambda: (each.address for each in self._members.values() if each.gone is None)
        )
        self._runner.rejoin(alone=all(member.gone is not None for member in self._members.values()), now=now)
        up = ((member.id, member.address) for member in self._members.values() if member.gone is None)
        self._summaries.step(up, now)

    def _look_for_isolation(self, now: float) -> None:
        up = sum(member.gone is None for member in self._members.values())
        text = self._isolation.check(up, 0 if up else len(self._members), self._runner.seeds, now)
        if text:
            kind = EventKind.SUSPECT if self._isolation.isolated else EventKind.UP
            self._log.warn("{text}", text=text)
            self._changes.publish(kind, self._own(), text, self.own_id)

    # -- reports of the peer port

    def receive(self, datagram: Datagram, address: Address, multicast: bool = False) -> None:
        """Count and report a membership datagram of another engine, whose node cannot be a member here."""
        self._foreign += 1
        member = self._members.get(datagram.sender)
        if (member is not None and member.gone is None) or self._clock.seconds() < self._settled_at:
            return  # it has both engines, as while a cluster changes from one to the other
        self._problems.report(
            datagram.sender,
            member.name if member else f"node{datagram.sender}",
            f"the daemon at {address[0]} has another [peers] engine: give all nodes the same",
        )

    def wrong_clock(self, node: int, name: str, skew: float) -> None:
        """
        Warn that the clock of a node is ``skew`` seconds ahead of ours, so that its datagrams are dropped.
        """
        way = "ahead of" if skew > 0 else "behind"
        reason = f"its clock is {abs(skew):.0f} s {way} ours, so its datagrams are dropped: set the clocks"
        self._problems.report(node, name, reason, f"clock {node}")

    def right_clock(self, node: int) -> None:
        """Note that the clock of a node is right again."""
        self._problems.solved(f"clock {node}")

    def differing(self, node: int) -> None:
        """Do nothing: kinship ignores clocks, so the node is a member all the same."""

    def replayed(self, node: int) -> None:
        """Warn that all questions and answers of a node are replays."""
        member = self._members.get(node)
        name = member.name if member else f"node{node}"
        reason = "heard, but all of it replayed: its machine was put back to a snapshot"
        self._problems.report(node, name, reason, f"replayed {node}")

    def renumbered(self, name: str) -> None:
        """Warn that node ``name`` took our datagrams for replays, so that we use new sequence numbers."""
        self._problems.report(
            self.own_id, self._own().name, f"{name} had heard all that this node sends before"
        )

    def copied(self, host: str) -> None:
        """Warn that a daemon at ``host`` has our id and instance and sends datagrams that are not ours."""
        reason = f"a copy of this machine runs at {host}: give it another [node] id and start its gomd again"
        self._problems.report(self.own_id, self._own().name, reason, "copied")

    def look_again(self) -> None:
        """Fetch the values of all nodes again. kinship itself finds out which of them are up."""
        self._summaries.refresh_all()
        self._next_step = 0.0

    def slept(self, seconds: float) -> None:
        """Age all values by the seconds that the machine slept."""
        self._summaries.add_age(seconds)

    # -- what users see

    def nodes(self) -> Sequence[Node]:
        """See `IMembership.nodes`."""
        return self._list_of_nodes.nodes(self._changes.version)

    def _others(self) -> Iterator[Node]:
        now = self._clock.seconds()
        return (self._node(member, now) for member in self._members.values())

    def _node(self, member: SwimMember, now: float) -> Node:
        if member.gone is not None:
            return Node(member.id, member.name, member.address[0], Status.CONFIGURED)
        said, age = self._summaries.latest(member.id, now)
        if said is None:
            return Node(member.id, member.name, member.address[0], _UP)
        return Node(
            member.id, member.name, member.address[0], Status(int(said.status) | int(_UP)), said.load,
            said.speed, said.cpus, said.util, said.mem, said.rmem, said.tmem, age,
        )  # fmt: skip

    def find(self, key: str) -> Node:
        """See `IMembership.find`."""
        if key.isascii() and key.isdigit():
            member = self._members.get(int(key))
            if member is not None:
                return self._node(member, self._clock.seconds())
            if int(key) == self.own_id:
                return self._own()
        return find_node(self.nodes(), key)

    def port_of(self, node: int) -> tuple[Address, int] | None:
        """Return a node's address for datagrams and its TCP port (0 for none); None when it is not up."""
        member = self._members.get(node)
        return None if member is None or member.gone is not None else (member.address, member.stream_port)

    def is_rival(self, node: int, host: str) -> bool:
        """See `MembershipListener.is_rival`."""
        return self._changes.is_rival(node, host)

    def counters(self) -> Iterable[Counter]:
        """See `IMembership.counters`."""
        up = sum(member.gone is None for member in self._members.values())
        yield Counter("nodes", len(self._members) + 1, "configured nodes")
        yield Counter("nodes_up", up + 1, "nodes that are up")
        yield Counter("membership_received", self._foreign, "datagrams of nodes with another engine")
        if self._runner.cluster is not None:
            stats = self._runner.cluster.stats()
            for name, meaning in _STATS.items():
                yield Counter(f"swim_{name}", getattr(stats, name), meaning)
        yield from self._summaries.counters()
