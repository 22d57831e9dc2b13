"""Two engines at once, while a cluster changes from one to the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.events import Events
from gomd.cluster.isolation import BEGIN_OF_ISOLATION, END_OF_ISOLATION
from gomd.cluster.merged_events import SAME_WITHIN, EventMerger
from gomd.cluster.several import SeveralEngines
from gomd.interfaces import IMembership
from libgomd.model import Counter, Event, EventKind, Node, Status
from tests.unit.cluster.contract import MembershipContract

UP = Status.CONFIGURED | Status.UP
JOIN, IS_UP, LEAVE, DOWN, SUSPECT = (
    EventKind.JOIN, EventKind.UP, EventKind.LEAVE, EventKind.DOWN, EventKind.SUSPECT
)  # fmt: skip


class _FakeEngine:
    """Has the nodes that a test gives it."""

    own_id = 7

    def __init__(self, *nodes: Node) -> None:
        self.known = nodes
        self.calls: list[tuple[str, Any]] = []
        self.stopped: Deferred[None] = Deferred()

    def nodes(self) -> Sequence[Node]:
        return self.known

    def port_of(self, node: int) -> Any:
        found = (((each.address, 1), 2) for each in self.known if each.id == node and each.up)
        return next(found, None)

    def counters(self) -> Iterable[Counter]:
        yield Counter("nodes", 99, "")
        yield Counter("of_this", len(self.known), "")

    def stop(self) -> Deferred[None]:
        return self.stopped

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, arguments))


OWN = Node(7, "node7", "10.0.0.7", UP, 1, age=0.1)


class SeveralContractTests(MembershipContract, SynchronousTestCase):
    """What every engine promises."""

    def make_membership(self) -> IMembership:
        return SeveralEngines(
            [_FakeEngine(OWN), _FakeEngine(OWN, Node(8, "node8", "a", UP))],
            [True, False],
            ("heartbeat", "swim"),
        )


class SeveralTests(SynchronousTestCase):
    """Its own promises."""

    def test_a_node_is_up_when_either_says_so(self) -> None:
        """And its values are the newest that there are."""
        down, plain = Node(3, "node3", "10.0.0.3", Status.CONFIGURED), Node(3, "node3", "10.0.0.3", UP)
        old, new = Node(4, "node4", "a", UP, 5, age=9.0), Node(4, "node4", "a", UP, 6, age=1.0)
        both = SeveralEngines(
            [_FakeEngine(down, old, OWN), _FakeEngine(plain, new, OWN)], [True, False], ("heartbeat", "swim")
        )
        self.assertEqual(both.nodes(), [plain, new, OWN])
        self.assertTrue(both.find("node3").up)
        self.assertEqual(both.port_of(3), (("10.0.0.3", 1), 2))
        self.assertIsNone(both.port_of(5))
        values = {counter.name: counter.value for counter in both.counters()}
        self.assertEqual(
            values,
            {
                "nodes": 3,
                "nodes_up": 3,
                "nodes_up_heartbeat": 2,
                "nodes_up_swim": 3,
                "of_this": 3,
            },
        )

    def test_datagrams_go_to_the_engine_whose_they_are(self) -> None:
        """Whichever is named first; seeds and sleep go to both."""
        swim, heartbeat = _FakeEngine(OWN), _FakeEngine(OWN)
        both: Any = SeveralEngines([swim, heartbeat], [False, True], ("heartbeat", "swim"))
        both.start()
        both.receive("datagram", ("10.0.0.3", 1))
        both.wrong_clock(3, "node3", 40.0)
        both.set_seeds([("10.0.0.1", 5428)])
        both.slept(5.0)
        both.look_again()
        named = [name for name, _arguments in swim.calls]
        self.assertEqual(named, ["start", "set_seeds", "slept", "look_again"])
        self.assertEqual(
            [name for name, _arguments in heartbeat.calls],
            ["start", "receive", "wrong_clock", "set_seeds", "slept", "look_again"],
        )

    def test_it_has_left_when_both_have(self) -> None:
        """Also if one fails."""
        one, other = _FakeEngine(OWN), _FakeEngine(OWN)
        stopped = SeveralEngines([one, other], [True, False], ("heartbeat", "swim")).stop()
        one.stopped.errback(OSError("no"))
        self.assertNoResult(stopped)
        other.stopped.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class MergedEventsTests(SynchronousTestCase):
    """One event per change."""

    def setUp(self) -> None:
        self.clock, self.events = Clock(), Events()
        merger = EventMerger(("heartbeat", "serf"), 7, self.clock, self.events)
        self.engines = [merger.of(0), merger.of(1)]

    def say(self, *said: tuple[int, EventKind] | tuple[int, EventKind, str], node: int = 3) -> None:
        """Let engines publish: each with its number, the kind, and a reason."""
        for engine, kind, *reason in said:
            text = str(reason[0]) if reason else f"{engine} {kind.value}"
            self.engines[engine].publish(Event(self.clock.seconds(), kind, node, f"node{node}", text, 7))

    def told(self) -> list[str]:
        """The kinds of what was published, and the number of the engine."""
        return [f"{event.kind.value} {event.reason[:1]}" for event in self.events.recent()]

    def test_a_join_and_an_end(self) -> None:
        """The first one tells of the join, the last one of the end."""
        self.say((0, JOIN), (1, JOIN))
        self.assertEqual(self.told(), ["join 0"])
        self.say((1, DOWN), (0, DOWN))
        self.assertEqual(self.told(), ["join 0", "down 0"])
        self.say((1, IS_UP), (0, IS_UP))
        self.assertEqual(self.told(), ["join 0", "down 0", "up 1"])

    def test_a_goodbye_is_the_better_reason(self) -> None:
        """When the other engine only missed the node."""
        self.say((0, JOIN), (1, JOIN), (0, LEAVE), (1, DOWN))
        self.assertEqual(self.told(), ["join 0", "leave 0"])

    def test_one_engine_less(self) -> None:
        """A node that is started with the new engine alone leaves and joins, once each."""
        self.say((0, JOIN), (1, JOIN), (0, LEAVE), (1, LEAVE), (1, JOIN))
        self.assertEqual(self.told(), ["join 0", "leave 1", "join 1"])
        self.clock.advance(3600.0)
        self.say((1, LEAVE))
        self.assertEqual(self.told()[3:], ["leave 1"])

    def test_a_restart_that_one_engine_sees_first(self) -> None:
        """Is told once, whole, and not again when the other one sees it."""
        self.say((0, JOIN), (1, JOIN), (0, LEAVE), (0, JOIN), (1, LEAVE), (1, JOIN))
        self.assertEqual(self.told(), ["join 0", "leave 0", "join 0"])
        self.say((0, DOWN), (1, DOWN))
        self.assertEqual(self.told()[3:], ["down 1"])

    def test_a_broken_way_of_one_engine(self) -> None:
        """Changes nothing; a suspicion that was told is taken back."""
        self.say((0, JOIN), (1, JOIN), (0, SUSPECT), (0, DOWN), (0, IS_UP))
        self.assertEqual(self.told(), ["join 0", "suspect 0", "up e"])
        self.assertIn("engine serf has it up, heartbeat has not: 0 down", self.events.recent()[-1].reason)

    def test_a_suspicion(self) -> None:
        """Of both engines is one, and ends once, when both have ended it."""
        self.say((0, JOIN), (1, JOIN), (0, SUSPECT), (1, SUSPECT), (0, IS_UP), (1, IS_UP))
        self.assertEqual(self.told(), ["join 0", "suspect 0", "up 1"])

    def test_a_problem_is_told_once(self) -> None:
        """Of a node that is not up with the engine, and of this node, too."""
        self.say((0, SUSPECT, "its clock"), (1, SUSPECT, "its clock"), node=9)
        self.say((0, SUSPECT, "a copy"), (1, SUSPECT, "a copy"), node=7)
        self.assertEqual(len(self.told()), 2)
        self.clock.advance(SAME_WITHIN)
        self.say((0, SUSPECT, "its clock"), node=9)
        self.assertEqual(len(self.told()), 3)

    def test_alone_with_one_engine_is_not_alone(self) -> None:
        """Only with all; and not any more as soon as one hears somebody."""
        self.say((1, SUSPECT, BEGIN_OF_ISOLATION), (1, IS_UP, END_OF_ISOLATION), node=7)
        self.assertEqual(self.told(), [])
        self.say((1, SUSPECT, BEGIN_OF_ISOLATION), (0, SUSPECT, BEGIN_OF_ISOLATION), node=7)
        self.say((0, IS_UP, END_OF_ISOLATION), (1, IS_UP, END_OF_ISOLATION), node=7)
        self.assertEqual([event.kind for event in self.events.recent()], [SUSPECT, IS_UP])

    def test_events_of_jobs_pass(self) -> None:
        """They are no engine's."""
        self.say((0, EventKind.STARTED))
        self.assertEqual(self.told(), ["started 0"])
