"""The swim engine over a kinship that says what a test makes it say; integration tests have the real one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gomd.cluster.events import Events
from gomd.cluster.summaries import Summaries
from gomd.interfaces import IMembership, IThreads
from libgomd.errors import TimedOut
from libgomd.model import EventKind, Node, Status
from libgomd.wire.messages import Datagram, Leave, Question, Summary
from tests.unit.cluster.contract import MembershipContract

kinship = pytest.importorskip("kinship", reason="kinship is for Python 3.11 and later")
swim = pytest.importorskip("gomd.cluster.swim")
making = pytest.importorskip("gomd.cluster.swim.setup")
running = pytest.importorskip("gomd.cluster.swim.runner")

UP = Status.CONFIGURED | Status.UP
OWN = Node(7, "node7", "10.0.0.7", UP, 1, age=0.1)
PORT = 5428


@implementer(IThreads)
class AtOnce:
    """Threads whose calls are over at once."""

    def run(self, limit: float, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """See `IThreads.run`."""
        try:
            return succeed(function(*arguments))
        except Exception:
            return fail()

    def run_apart(self, limit: float, key: Any, holder: Any, function: Any, *arguments: Any) -> Deferred[Any]:
        """See `IThreads.run_apart`."""
        return self.run(limit, function, *arguments)


class Kinship:
    """As much of `kinship.blocking.Cluster` as is used."""

    def __init__(self, keys: tuple[bytes, ...], seeds: tuple[Any, ...]) -> None:
        self.keys, self.seeds = keys, seeds
        self.said: deque[Any] = deque()
        self.present: list[Any] = []
        self.trouble: Exception | None = None
        self.did: list[Any] = []
        self.keyring = SimpleNamespace(
            install=lambda key: self.did.append(("install", key)),
            use=lambda key: self.did.append(("use", key)),
            remove=lambda key: self.did.append(("remove", key)),
        )

    def start(self) -> None:
        """Begin."""
        if self.trouble:
            raise self.trouble
        self.did.append("start")

    def events(self, timeout: float) -> Any:
        """What was said, None where nothing more was."""
        assert timeout == 0.0

        def found() -> Any:
            while True:
                event = self.said.popleft() if self.said else None
                if isinstance(event, Exception):
                    raise event
                yield event

        return found()

    def members(self) -> list[Any]:
        """Who is up, this node too."""
        return [member(7, address="10.0.0.7"), *self.present]

    def stats(self) -> Any:
        """Its numbers."""
        return SimpleNamespace(**dict.fromkeys(kinship.Stats.__dataclass_fields__, 5))

    def join(self, seeds: list[str]) -> None:
        """Ask seeds."""
        self.did.append(("join", seeds))

    def close(self, timeout: float) -> None:
        """End."""
        self.did.append("close")


def member(node: int | str, epoch: int = 1, address: str = "", **meta: str) -> Any:
    """Return a node as kinship tells of it."""
    tags = {"name": f"node{node}", "port": str(PORT), "stream": str(PORT), **meta}
    address = address or f"10.0.0.{node}"
    return kinship.Member(str(node), f"{address}:5430", kinship.State.ALIVE, 0, tags, epoch)


class SwimCase(SynchronousTestCase):
    """One engine at node 7."""

    def setUp(self) -> None:
        self.clock, self.events = Clock(), Events()
        self.made: list[Kinship] = []
        self.trouble: Exception | None = None
        self.answers: dict[int, Node] = {}
        self.engine = swim.Swim(
            lambda: OWN,
            swim.SwimRunner(self.make, (b"k" * 32,), (("10.0.0.1", PORT),), AtOnce(), self.clock),
            Summaries(self.ask),
            self.clock,
            self.events,
            self.clock.seconds,
            forget=100.0,
        )

    def make(self, keys: tuple[bytes, ...], seeds: tuple[Any, ...]) -> Kinship:
        """Make a kinship, which may be in trouble."""
        self.made.append(Kinship(keys, seeds))
        self.made[-1].trouble = self.trouble
        return self.made[-1]

    def ask(self, address: Any, question: Question) -> Deferred[Any]:
        """Answer as the node does that is asked."""
        node = self.answers.get(question.target)
        return fail(TimedOut("no answer")) if node is None else succeed(Summary.of(1, node))

    def say(self, *events: Any) -> None:
        """Let kinship find something out, and the engine look."""
        self.made[-1].said.extend(events)
        self.clock.advance(0.25)

    def seen(self) -> list[tuple[EventKind, int, int]]:
        """The events so far, but for those of being alone: kind, node, by."""
        recent = [event for event in self.events.recent() if "this node h" not in event.reason]
        return [(event.kind, event.node, event.by) for event in recent]


class SwimContractTests(MembershipContract, SwimCase):
    """What every engine promises."""

    def make_membership(self) -> IMembership:
        self.engine.start()
        self.say(kinship.MemberJoined(member(8)))
        engine: IMembership = self.engine
        return engine


class SwimTests(SwimCase):
    """Its own promises."""

    def setUp(self) -> None:
        super().setUp()
        self.engine.start()

    def test_a_node_joins_and_tells_its_values(self) -> None:
        """Listed with its name and ports at once, with its values as soon as it has said them."""
        self.answers[3] = Node(3, "node3", "10.0.0.3", UP | Status.STAY, 44, age=0.5)
        self.say(kinship.MemberJoined(member(3)))
        self.assertEqual(self.seen(), [(EventKind.JOIN, 3, 7)])
        self.assertEqual(self.engine.port_of(3), (("10.0.0.3", PORT), PORT))
        node = self.engine.find("node3")
        self.assertEqual(
            (node.id, node.address, node.status, node.load), (3, "10.0.0.3", UP | Status.STAY, 44)
        )
        self.assertEqual([each.id for each in self.engine.nodes()], [3, 7])

    def test_before_it_has_said_anything_it_is_up_all_the_same(self) -> None:
        """With values that are not known."""
        self.say(kinship.MemberJoined(member(3)))
        self.assertEqual(self.engine.find("3"), Node(3, "node3", "10.0.0.3", UP))

    def test_silence_and_death(self) -> None:
        """Suspect, then down: listed without values, not asked any more, and at last forgotten."""
        self.answers[3] = Node(3, "node3", "10.0.0.3", UP, 44, age=0.5)
        self.say(kinship.MemberJoined(member(3)))
        self.say(kinship.MemberSuspect(member(3)))
        self.assertTrue(self.engine.find("3").up)
        self.say(kinship.MemberDead(member(3)))
        self.assertEqual([kind for kind, _, _ in self.seen()], ["join", "suspect", "down"])
        self.assertEqual(self.engine.find("3"), Node(3, "node3", "10.0.0.3", Status.CONFIGURED))
        self.assertIsNone(self.engine.port_of(3))
        self.clock.pump([1.0] * 102)
        self.assertEqual([each.id for each in self.engine.nodes()], [7])

    def test_it_contradicts(self) -> None:
        """A suspicion that was wrong ends with `up`, and is no restart."""
        self.say(*(kind(member(3)) for kind in (kinship.MemberJoined, kinship.MemberSuspect)))
        self.say(kinship.MemberRecovered(member(3)))
        self.assertEqual([kind for kind, _, _ in self.seen()], ["join", "suspect", "up"])

    def test_back_from_the_dead(self) -> None:
        """The same start of a daemon is `up` again; a new one joins, and its reason says so."""
        self.say(
            *(kind(member(3)) for kind in (kinship.MemberJoined, kinship.MemberDead, kinship.MemberJoined))
        )
        self.say(kinship.MemberLeft(member(3)), kinship.MemberJoined(member(3, epoch=2)))
        self.assertEqual(
            self.seen(),
            [
                (EventKind.JOIN, 3, 7), (EventKind.DOWN, 3, 7), (EventKind.UP, 3, 7), (EventKind.LEAVE, 3, 3),
                (EventKind.JOIN, 3, 7),
            ],
        )  # fmt: skip
        self.assertIn("started again", self.events.recent()[-1].reason)

    def test_events_that_were_lost(self) -> None:
        """What kinship knows now is taken over: who came, who went, each said once."""
        self.say(kinship.MemberJoined(member(3)), kinship.MemberJoined(member(4)))
        self.made[0].present = [member(4), member(5)]
        self.say(kinship.EventsLost(9))
        self.assertEqual([node.id for node in self.engine.nodes() if node.up], [4, 5, 7])
        self.assertEqual(self.seen()[2:], [(EventKind.DOWN, 3, 7), (EventKind.JOIN, 5, 7)])

    def test_others_with_the_key_are_no_nodes(self) -> None:
        """Whatever they call themselves; it is said once, not each time."""
        strangers = [
            member("cache-1"), member("0"), member("70000"), member(3, name="a b"), member(3, name=""),
            member(3, name="x" * 64), member(3, port="x"), member(3, port="0"), member(3, stream="99999"),
            member(3, address="[fd00::1]"), member("٣"),
        ]  # fmt: skip
        for stranger in strangers * 2:
            self.say(kinship.MemberJoined(stranger))
        self.assertEqual([node.id for node in self.engine.nodes()], [7])
        reasons = [event.reason for event in self.events.recent()]
        self.assertEqual(len(reasons), len(set(reasons)))
        self.assertIn("is no gomd", reasons[0])

    def test_an_id_that_is_used_twice(self) -> None:
        """The event names the id and both addresses, once in an hour."""
        conflict = kinship.NameConflict(member(7, address="10.0.0.7"), "10.9.9.9:5430")
        self.say(conflict, conflict)
        [event] = self.events.recent()
        self.assertEqual((event.kind, event.node), (EventKind.SUSPECT, 7))
        self.assertIn("10.9.9.9 and 10.0.0.7", event.reason)
        self.clock.advance(3601.0)
        self.say(conflict)
        told = [event for event in self.events.recent() if "10.9.9.9 and 10.0.0.7" in event.reason]
        self.assertEqual(len(told), 2)

    def test_a_node_that_is_alone_says_so_once(self) -> None:
        """Until it hears somebody; and its seeds are asked again and again."""
        for _ in range(200):
            self.say()
        alone = [event for event in self.events.recent() if "heard no other one" in event.reason]
        self.assertEqual([(event.kind, event.node) for event in alone], [(EventKind.SUSPECT, 7)])
        self.assertGreaterEqual(sum(did[0] == "join" for did in self.made[0].did), 4)
        self.say(kinship.MemberJoined(member(3)))
        self.clock.advance(1.0)
        self.assertIn("hears other nodes again", self.events.recent()[-1].reason)

    def test_a_changed_name(self) -> None:
        """Is taken over without an event."""
        self.say(kinship.MemberJoined(member(3)))
        self.say(kinship.MemberUpdated(member(3, name="gamma"), {}))
        self.assertEqual(self.engine.find("gamma").id, 3)
        self.assertEqual(len(self.seen()), 1)

    def test_another_engine_is_named(self) -> None:
        """Its datagrams make no member; one event says what is wrong."""
        for sequence in range(5):
            self.engine.receive(Datagram(9, 1, 0, sequence, Leave(1, "")), ("10.0.0.9", PORT))
        self.assertEqual(self.seen(), [(EventKind.SUSPECT, 9, 7)])
        self.assertIn("another [peers] engine", self.events.recent()[0].reason)

    def test_a_wrong_clock_is_reported_once(self) -> None:
        """Though the number of seconds differs each time."""
        for skew in (-300.0, -301.0, -302.0):
            self.engine.wrong_clock(9, "late", skew)
        [event] = self.events.recent()
        self.assertEqual((event.kind, event.name), (EventKind.SUSPECT, "late"))
        self.assertIn("300 s behind ours", event.reason)

    def test_a_bug_does_not_end_it(self) -> None:
        """It is logged, and what comes next is taken."""
        self.say(kinship.MemberJoined("this is no member"))
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.say(kinship.MemberJoined(member(3)))
        self.assertEqual(self.seen(), [(EventKind.JOIN, 3, 7)])


class RunningTests(SwimCase):
    """kinship itself: started, ended, told of changes."""

    def test_it_says_goodbye(self) -> None:
        """`stop` fires when kinship is gone, and nothing is on the clock then."""
        self.engine.start()
        self.successResultOf(self.engine.stop())
        self.assertEqual(self.made[0].did, ["start", "close"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_start_that_fails_is_tried_again(self) -> None:
        """A port that is taken, names that cannot be looked up: every ten seconds, until it is stopped."""
        self.trouble = OSError("Address already in use")
        self.engine.start()
        self.trouble = kinship.JoinError("no seed resolves")
        self.clock.advance(running.RESTART_DELAY)
        self.trouble = None
        self.clock.advance(running.RESTART_DELAY)
        self.assertEqual([made.did for made in self.made], [[], [], ["start"]])
        self.say(kinship.MemberJoined(member(3)))
        self.assertEqual(self.seen(), [(EventKind.JOIN, 3, 7)])

    def test_stopped_while_it_waits(self) -> None:
        """There is no next try."""
        self.trouble = OSError("Address already in use")
        self.engine.start()
        self.successResultOf(self.engine.stop())
        self.clock.advance(100.0)
        self.assertEqual(len(self.made), 1)

    def test_it_ends_by_itself(self) -> None:
        """It is started again, and who went meanwhile is down."""
        self.engine.start()
        self.say(kinship.MemberJoined(member(3)))
        self.say(kinship.KinshipClosed("an internal error"))
        self.clock.advance(running.RESTART_DELAY)
        self.assertEqual(len(self.made), 2)
        self.assertEqual(self.seen(), [(EventKind.JOIN, 3, 7), (EventKind.DOWN, 3, 7)])

    def test_other_keys(self) -> None:
        """All are taken, the first one is used, and those that are gone are removed; in this order."""
        self.engine.start()
        old, new = b"k" * 32, b"n" * 32
        self.engine.set_keys((new, old))
        self.engine.set_keys((new, old))
        self.engine.set_keys((new,))
        self.assertEqual(
            self.made[0].did[1:],
            [
                ("install", new), ("install", old), ("use", new),
                ("install", new), ("use", new), ("remove", old),
            ],
        )  # fmt: skip

    def test_other_seeds(self) -> None:
        """They are asked at once, at the ports where kinship listens, and after the next start too."""
        self.engine.start()
        self.engine.set_seeds([("10.0.0.9", PORT)])
        self.assertEqual(self.made[0].did[-1], ("join", ["10.0.0.9:5430"]))
        self.say(kinship.KinshipClosed("an internal error"))
        self.clock.advance(running.RESTART_DELAY)
        self.assertEqual(self.made[1].seeds, (("10.0.0.9", PORT),))


def test_what_kinship_is_told() -> None:
    """It takes every setting that gomd.ini allows, and seals with our key."""
    for heartbeat in (0.1, 1.0, 60.0):
        make = making.SwimSetup(7, "node7", "127.0.0.1", PORT, PORT, heartbeat, 2, lambda *_args: None)
        config = make((b"k" * 32, b"n" * 32), (("10.0.0.1", PORT), ("10.0.0.2", 65535))).config
        assert (config.name, config.bind, config.seeds) == ("7", "127.0.0.1:5430", ["10.0.0.1:5430"])
        assert len(config.key_ids) == 2
        assert not config.insecure_plaintext
        with pytest.raises(kinship.ConfigError):  # there is no swim in the clear
            make((), ())
