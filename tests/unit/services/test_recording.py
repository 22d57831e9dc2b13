"""What fills the history beside samples: all nodes, events, jobs, and the processes of two other nodes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gomd.cluster.events import Events
from gomd.history.none import NoneLog
from gomd.interfaces import ForwardedReply, IPeers, RememberedTable
from gomd.protocols.no_peers import NoPeers
from gomd.services.recorder import LOOK_PERIOD, Recorder
from gomd.services.remembering import ASK_PERIOD, FIRST_DELAY, Remembering, before
from gomd.verbs.busiest import HIDDEN_WORDS
from libgomd.errors import PeerUnreachable
from libgomd.model import Caller, Event, Job, Node, Status
from libgomd.wire.lines import Request
from libgomd.wire.values import dumps, encode
from tests.unit.history.contract import EVENT, JOB, NODE, OTHER, process
from tests.unit.services.held import HeldThreads

UP = Status.CONFIGURED | Status.UP


class Written(NoneLog):
    """A history that remembers what it was given."""

    def __init__(self) -> None:
        self.nodes: list[Sequence[Node]] = []
        self.events: list[tuple[Event, bool]] = []
        self.jobs: list[Sequence[Job]] = []
        self.tables: list[RememberedTable] = []

    def write_nodes(self, nodes: Sequence[Node], now: float) -> None:
        self.nodes.append(nodes)

    def write_event(self, event: Event, hidden: bool) -> None:
        self.events.append((event, hidden))

    def write_jobs(self, jobs: Sequence[Job], now: float) -> None:
        self.jobs.append(jobs)

    def write_remembered(self, table: RememberedTable) -> None:
        self.tables.append(table)


class RecorderTests(SynchronousTestCase):
    """Nodes and jobs every few seconds, events as they come."""

    def setUp(self) -> None:
        self.clock, self.events, self.written = Clock(), Events(), Written()
        self.jobs = [JOB]
        self.hidden = False
        self.recorder = Recorder(
            self.written, self.events, self.look, lambda: self.jobs, lambda: self.hidden,
            HeldThreads(self.clock), self.clock, self.clock.seconds,
        )  # fmt: skip
        self.broken = False
        self.recorder.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        if self.recorder.running:
            self.recorder.stopService()

    def look(self) -> Sequence[Node]:
        if self.broken:
            raise ZeroDivisionError("a bug")
        return [NODE, OTHER]

    def test_nodes_and_the_jobs_that_changed(self) -> None:
        """A job that stays as it is, is written once; the last state of all is written at the stop."""
        self.clock.advance(LOOK_PERIOD)
        self.clock.advance(LOOK_PERIOD)
        self.jobs = [replace(JOB, exit=0)]
        self.clock.advance(LOOK_PERIOD)
        self.jobs = [replace(JOB, exit=1)]
        self.recorder.stopService()
        self.assertEqual(self.written.nodes, [[NODE, OTHER]] * 4)
        jobs = [[JOB], [], [replace(JOB, exit=0)], [replace(JOB, exit=1)]]
        self.assertEqual(self.written.jobs, jobs)

    def test_events_as_they_happen(self) -> None:
        """With whether others' jobs are hidden then; none after the stop, and nothing stays scheduled."""
        self.events.publish(EVENT)
        self.hidden = True
        self.events.publish(EVENT)
        self.recorder.stopService()
        self.events.publish(EVENT)
        self.assertEqual(self.written.events, [(EVENT, False), (EVENT, True)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_bug_ends_nothing(self) -> None:
        """It is logged, and the next look comes."""
        self.broken = True
        self.clock.advance(LOOK_PERIOD)
        self.broken = False
        self.clock.advance(LOOK_PERIOD)
        self.assertEqual(len(self.written.nodes), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Members:
    """Nodes 1 to 5, of which 4 is down; this is node 2."""

    own_id = 2

    def nodes(self) -> Sequence[Node]:
        return [Node(at, f"n{at}", "127.0.0.1", Status.CONFIGURED if at == 4 else UP) for at in range(1, 6)]


@implementer(IPeers)
class Peers(NoPeers):
    """:ivar asked: ids of the nodes. :ivar text: the status line. :ivar code: its code."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.text = "2 processes"
        self.code = 201
        self.unreachable: set[int] = set()

    async def ask(self, node: Node, request: Request, caller: Caller, json: bool) -> ForwardedReply:
        self.asked.append(node.id)
        if node.id in self.unreachable:
            raise PeerUnreachable("it is gone")
        assert (request.verb, json) == ("busiest", True)
        return ForwardedReply(self.code, self.text, self.rows(node) if self.code == 201 else None)

    async def rows(self, node: Node) -> AsyncGenerator[list[str], None]:
        mine = process(5, 1.0, node=node.id, home=node.id, identity=f"{node.id}-5-1")
        theirs = process(6, 1.0, node=77)
        yield [dumps({**encode(mine), "in_job": True}), dumps(encode(theirs))]


class RememberingTests(SynchronousTestCase):
    """Two nodes are asked once a minute."""

    def setUp(self) -> None:
        self.clock, self.written, self.peers = Clock(), Written(), Peers()
        self.remembering = Remembering(
            self.written, Members(), self.peers, HeldThreads(self.clock), self.clock, self.clock.seconds  # type: ignore[arg-type]
        )  # fmt: skip
        self.remembering.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        if self.remembering.running:
            self.remembering.stopService()

    def test_the_two_before_this_one(self) -> None:
        """In the ring of those that are up; of what they say, only what is about themselves."""
        self.clock.advance(FIRST_DELAY)
        self.assertEqual(self.peers.asked, [1, 5])
        self.clock.advance(ASK_PERIOD)
        self.assertEqual(self.peers.asked, [1, 5, 1, 5])
        table = self.written.tables[0]
        self.assertEqual((table.node, table.by, table.taken_at, table.hidden), (1, 2, FIRST_DELAY, False))
        self.assertEqual([each.identity for each in table.processes], ["1-5-1"])
        self.assertEqual(table.in_jobs, {"1-5-1"})

    def test_a_node_that_hides_is_remembered_as_one(self) -> None:
        """So that the answer about then hides as well."""
        self.peers.text = f"2 processes, {HIDDEN_WORDS}"
        self.clock.advance(FIRST_DELAY)
        self.assertTrue(self.written.tables[0].hidden)

    def test_one_that_cannot_be_reached_costs_nothing(self) -> None:
        """The others are asked all the same; one that refuses, or is older, is left out."""
        self.peers.unreachable = {1}
        self.clock.advance(FIRST_DELAY)
        self.assertEqual([table.node for table in self.written.tables], [5])
        self.peers.code = 400
        self.clock.advance(ASK_PERIOD)
        self.assertEqual(len(self.written.tables), 1)

    def test_nothing_goes_on_after_the_stop(self) -> None:
        """Before the first question and after it."""
        self.clock.advance(FIRST_DELAY)
        self.remembering.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_ring(self) -> None:
        """Nearest first, round the end, never oneself."""
        nodes = [Node(at, "", "", UP) for at in (1, 5, 9)]
        self.assertEqual([node.id for node in before(5, nodes)], [1, 9])
        self.assertEqual([node.id for node in before(1, nodes)], [9, 5])
        self.assertEqual([node.id for node in before(5, nodes[1:2])], [])
