"""
The serf engine: a Serf agent tells which members there are, and the nodes themselves prove that they are
nodes.

`gomd.cluster.serf.link` speaks to the agent, `roster` knows the nodes, `proofs` asks them. The values of the
nodes are fetched from them by `Summaries`. docs/serf.md describes the differences from the other engines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from gomd.cluster.isolation import Isolation
from gomd.cluster.names import find_node
from gomd.cluster.problem_reports import ProblemReports
from gomd.cluster.serf.link import AgentLink
from gomd.cluster.serf.proofs import MAX_QUESTIONS, Ask, Proofs
from gomd.cluster.serf.reports import DatagramReports
from gomd.cluster.serf.roster import SerfNode, SerfRoster
from gomd.cluster.serf.rpc_reader import Listed
from gomd.cluster.summaries import Address, Summaries
from gomd.interfaces import IEvents, IMembership
from libgomd.model import Counter, Event, EventKind, Node, Status
from libgomd.wallclock import Wall
from libgomd.wire.addresses import is_ipv6
from libgomd.wire.messages import Answer, Question, Summary

#: Seconds between two ticks, and between two rounds of everything but the connection.
TICK: Final = 0.5
STEP: Final = 1.0
#: Seconds between two ticks that mean that this process stood still.
_STOOD_STILL: Final = 5.0
#: Seconds for which the agent may be away before that is reported.
AWAY_AFTER: Final = 5.0
#: Seconds between two tries to join the seeds: while no other node is up, at first and at most, each time
#: twice as long; and else.
JOIN_FIRST: Final = 1.0
JOIN_ALONE: Final = 10.0
JOIN_AGAIN: Final = 30.0

#: Seconds after the start in which a node that has two engines may not be up with this one yet.
SETTLING: Final = 10.0

_UP: Final = Status.CONFIGURED | Status.UP


@implementer(IMembership)
class Serf(DatagramReports):
    """
    Membership by a Serf agent.

    :param own: gives this node, with the age of its values. :param link: the connection to the agent.
    :param ask: sends a sealed question, as `libgomd.questions.Asker.ask` does.
    :param wall: gives the time stamp of events. :param seeds: peer addresses of nodes to join.
    :param forget: seconds for which a node that is gone stays listed.
    :param max_nodes: maximum number of nodes, this one included.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        own: Callable[[], Node],
        link: AgentLink,
        ask: Ask,
        clock: IReactorTime,
        events: IEvents,
        wall: Wall,
        seeds: Sequence[Address] = (),
        forget: float = 86400.0,
        max_nodes: int = 4096,
    ) -> None:
        self.own_id = own().id
        self._link = link
        self._ask = ask
        self._clock = clock
        self._events = events
        self._wall = wall
        self._seeds = tuple(seeds)
        self._problems = ProblemReports(self.own_id, clock, events, wall)
        self._summaries = Summaries(self._ask_for_values)
        super().__init__(own, self._name_if_known, self._problems, self._summaries, self._may_have_both)
        self._roster = SerfRoster(
            own,
            clock,
            events,
            wall,
            self._problems,
            forget,
            max_nodes,
            self._summaries.drop,
            link.force_leave,
        )
        self._proofs = self._roster.proofs = Proofs(
            ask, clock, self._families, self._proven, self._roster.refused
        )
        self._isolation = Isolation(1.0)
        self._others = self._asking = 0
        self._last_tick = clock.seconds()
        self._next_step = self._next_join = 0.0
        self._join_delay = JOIN_FIRST
        self._started_at = clock.seconds()
        self._is_away = False
        self._loop = LoopingCall(self._tick)
        self._loop.clock = clock

    # -- start and stop

    def start(self) -> None:
        """Connect to the agent, and run until `stop`."""
        self._started_at = self._last_tick = self._link.away_since = self._clock.seconds()
        self._link.start(self)
        self._loop.start(TICK)

    def stop(self) -> Deferred[None]:
        """Leave the cluster. The Deferred fires when that is done and our own agent has ended."""
        if self._loop.running:
            self._loop.stop()
        return Deferred.fromCoroutine(self._link.stop())

    def set_seeds(self, seeds: Sequence[Address]) -> None:
        """Replace the seeds."""
        self._seeds = tuple(seeds)
        self._next_join, self._join_delay = 0.0, JOIN_FIRST

    def set_keys(self, keys: Sequence[bytes]) -> None:
        """Have our own agent seal with the first of these keys from now on, and open with all of them."""
        self._link.agent.set_keys(keys)

    # -- periodic work

    def _tick(self) -> None:
        """Never raises: an escaping error would end the loop."""
        try:
            now = self._clock.seconds()
            if now - self._last_tick > _STOOD_STILL:
                self._roster.stood_still()
                self.look_again()
            self._last_tick = now
            self._link.step(now)
            self._proofs.step(now)
            if now >= self._next_step:
                self._next_step = now + STEP
                self._step(now)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("membership failed")

    def _step(self, now: float) -> None:
        self._roster.forget(now)
        for node in self._roster.due(now):
            if self._asking >= MAX_QUESTIONS:
                break
            node.asking = True
            self._asking += 1
            Deferred.fromCoroutine(self._see_whether_it_works(node))
        self._summaries.step(((node.id, node.address) for node in self._roster.up()), now)
        self._look_for_isolation(now)
        self._look_for_the_agent(now)
        if now >= self._next_join and self._link.is_up:
            self._join_seeds(now)

    def _join_seeds(self, now: float) -> None:
        """Join the seeds that are not up: Serf itself tries them never, or only those that it has lost."""
        up = {node.address for node in self._roster.up()}
        if up:
            self._next_join, self._join_delay = now + JOIN_AGAIN, JOIN_FIRST
        else:
            self._next_join = now + self._join_delay
            self._join_delay = min(JOIN_ALONE, self._join_delay * 2)
        self._link.join([seed for seed in self._seeds if seed not in up])

    async def _see_whether_it_works(self, node: SerfNode) -> None:
        """Never raises."""
        try:
            found = await self._proofs.where(node.claim)
            if found is None:
                self._roster.silent(node)
            else:
                node.address = found
                self._roster.answered(node)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("asking node {node} failed", node=node.id)
        finally:
            node.asking = False
            self._asking -= 1

    async def _ask_for_values(self, address: Address, question: Question) -> Answer | Summary:
        """Ask as `Summaries` wants it, and note whether the node works."""
        node = self._roster.nodes.get(question.target)
        try:
            answer = await self._ask(address, question)
        except Exception:
            if node is not None and not node.doubts:
                node.answered = float("-inf")  # ask again at once
            raise
        if node is not None and isinstance(answer, Summary) and answer.id == node.id:
            self._roster.answered(node)
        return answer

    def _look_for_isolation(self, now: float) -> None:
        up = sum(1 for _ in self._roster.up())
        text = self._isolation.check(up, 0 if up else len(self._roster.nodes), len(self._seeds), now)
        if text:
            kind = EventKind.SUSPECT if self._isolation.isolated else EventKind.UP
            self._log.warn("{text}", text=text)
            self._say(kind, text)

    def _look_for_the_agent(self, now: float) -> None:
        """Say that the agent is away, and that it is back."""
        if self._link.is_up:
            if self._is_away:
                self._is_away = False
                self._problems.solved("agent")
                self._log.info("the Serf agent answers again")
                self._say(EventKind.UP, "its Serf agent answers again")
        elif now - self._link.away_since >= AWAY_AFTER:
            self._is_away = True
            own = self._own()
            reason = (
                f"its Serf agent cannot be asked ({self._link.why_away}): new nodes are not found until it "
                "can, and which ones are up is known from their own answers"
            )
            self._problems.report(own.id, own.name, reason, "agent")

    def _say(self, kind: EventKind, reason: str) -> None:
        own = self._own()
        self._events.publish(Event(self._wall(), kind, own.id, own.name, reason, own.id))

    # -- what the agent says

    def all_members(self, listed: Listed) -> None:
        """See `gomd.cluster.serf.link.LinkListener`."""
        self._others = listed.others + sum(heard.claim is None for heard in listed.heard)
        self.members_changed(listed)
        if not listed.left_out:
            self._roster.only({heard.member for heard in listed.heard})
        else:
            self._roster.full += listed.left_out

    def members_changed(self, listed: Listed) -> None:
        """See `gomd.cluster.serf.link.LinkListener`."""
        for heard in listed.heard:
            if heard.member != self._link.member:
                self._roster.take(heard, listed.event)
        self._proofs.step(self._clock.seconds())
        self._next_step = 0.0  # those that failed are asked with the next tick

    def _proven(self, member: str, claim: object, address: Address) -> None:
        self._roster.proven(member, claim, address)  # type: ignore[arg-type]
        self._next_step = 0.0

    def _families(self) -> frozenset[int]:
        return frozenset(6 if ":" in host else 4 for host in self._own().hosts)

    # -- reports of the peer port

    def look_again(self) -> None:
        """Ask all nodes and the agent again: a clock was set, or this process stood still."""
        self._summaries.refresh_all()
        self._proofs.soon()
        self._link.compare()
        self._next_step = 0.0

    def _may_have_both(self, node: int) -> bool:
        known = self._roster.nodes.get(node)
        is_up = known is not None and known.gone is None
        return is_up or self._clock.seconds() - self._started_at < SETTLING

    def _name_if_known(self, node: int) -> str:
        known = self._roster.nodes.get(node)
        return "" if known is None else known.name

    # -- what users see

    def nodes(self) -> Sequence[Node]:
        """See `IMembership.nodes`."""
        now = self._clock.seconds()
        known = [self._node(node, now) for node in self._roster.nodes.values()]
        return sorted([self._own(), *known], key=lambda node: node.id)

    def _node(self, node: SerfNode, now: float) -> Node:
        host, said_to_have = node.address[0], node.claim.addresses
        both = tuple(sorted(said_to_have, key=is_ipv6)) if len(said_to_have) > 1 else ()
        if node.gone is not None:
            return Node(node.id, node.name, host, Status.CONFIGURED, addresses=both)
        said, age = self._summaries.latest(node.id, now)
        if said is None:
            return Node(node.id, node.name, host, _UP, addresses=both)
        return Node(
            node.id, node.name, host, said.status | _UP, said.load, said.speed, said.cpus, said.util,
            said.mem, said.rmem, said.tmem, age, addresses=both,
        )  # fmt: skip

    def find(self, key: str) -> Node:
        """See `IMembership.find`."""
        if key.isascii() and key.isdigit() and len(key) <= 5:
            node = self._roster.nodes.get(int(key))
            if node is not None:
                return self._node(node, self._clock.seconds())
            if int(key) == self.own_id:
                return self._own()
        return find_node(self.nodes(), key)

    def port_of(self, node: int) -> tuple[Address, int] | None:
        """Return a node's address for datagrams and its TCP port (0 for none); None when it is not up."""
        found = self._roster.nodes.get(node)
        if found is None or found.gone is not None:
            return None
        return found.address, found.claim.stream_port

    def is_rival(self, node: int, host: str) -> bool:
        """See `MembershipListener.is_rival`."""
        return self._roster.is_rival(node, host)

    def counters(self) -> Iterable[Counter]:
        """See `IMembership.counters`."""
        up = sum(1 for _ in self._roster.up())
        yield Counter("nodes", len(self._roster.nodes) + 1, "configured nodes")
        yield Counter("nodes_up", up + 1, "nodes that are up")
        yield Counter("nodes_full", self._roster.full, "nodes not remembered because max_nodes are")
        yield Counter("membership_received", self.foreign, "datagrams of nodes with another engine")
        yield Counter("serf_agent", int(self._link.is_up), "whether the Serf agent answers")
        yield Counter("serf_connections", self._link.connections, "connections to the Serf agent")
        yield Counter("serf_others", self._others, "members of Serf that cannot be nodes")
        yield from self._proofs.counters()
        yield from self._summaries.counters()
