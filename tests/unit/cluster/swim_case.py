"""A kinship that says what a test makes it say, and a swim engine on it."""

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
from gomd.interfaces import IThreads
from libgomd.errors import TimedOut
from libgomd.model import EventKind, Node, Status
from libgomd.wire.messages import Question, Summary

kinship = pytest.importorskip("kinship", reason="kinship is for Python 3.11 and later")
swim = pytest.importorskip("gomd.cluster.swim")

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

    def __init__(self, keys: tuple[bytes, ...], seeds: tuple[Any, ...], moves: int = 0) -> None:
        self.keys, self.seeds, self.moves = keys, seeds, moves
        self.said: deque[Any] = deque()
        self.present: list[Any] = []
        self.trouble: Exception | None = None
        self.did: list[Any] = []
        self.probes_failed = 0
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

    def member(self, name: str) -> Any:
        """One of those who are up."""
        return next((each for each in self.present if each.name == name), None)

    def stats(self) -> Any:
        """Its numbers."""
        numbers = dict.fromkeys(kinship.Stats.__dataclass_fields__, 5)
        return SimpleNamespace(**{**numbers, "probes_failed": self.probes_failed})

    def broadcast(self, message: bytes) -> None:
        """Send a message to all."""
        self.did.append(("broadcast", message))

    def join(self, seeds: list[str]) -> None:
        """Ask seeds."""
        self.did.append(("join", seeds))

    def close(self, timeout: float) -> None:
        """End."""
        self.did.append("close")


def member(node: int | str, epoch: int = 1, address: str = "", **meta: str) -> Any:
    """Return a node as kinship tells of it."""
    tags = {"name": f"node{node}", "port": str(PORT), "stream": str(PORT), **meta}
    number = node if isinstance(node, int) else 0
    address = address or f"10.0.{number >> 8}.{number & 255}"
    return kinship.Member(str(node), f"{address}:5430", kinship.State.ALIVE, 0, tags, epoch)


class SwimCase(SynchronousTestCase):
    """One engine at node 7."""

    def setUp(self) -> None:
        self.clock, self.events = Clock(), Events()
        self.made: list[Kinship] = []
        self.trouble: Exception | None = None
        self.answers: dict[int, Node] = {}
        self.address = "10.0.0.7"
        self.engine = swim.Swim(
            lambda: OWN,
            swim.SwimRunner(
                self.make, (b"k" * 32,), (("10.0.0.1", PORT),), AtOnce(), self.clock, lambda: self.address
            ),
            Summaries(self.ask),
            self.clock,
            self.events,
            self.clock.seconds,
            forget=100.0,
        )

    def make(self, keys: tuple[bytes, ...], seeds: tuple[Any, ...], moves: int) -> Kinship:
        """Make a kinship, which may be in trouble."""
        self.made.append(Kinship(keys, seeds, moves))
        self.made[-1].trouble = self.trouble
        return self.made[-1]

    def ask(self, address: Any, question: Question) -> Deferred[Any]:
        """Answer as the node does that is asked."""
        node = self.answers.get(question.target)
        return fail(TimedOut("no answer")) if node is None else succeed(Summary.of(1, node))

    def kinship_has(self, *members: Any) -> None:
        """Let kinship list these members as up."""
        self.made[-1].present = list(members)

    def say(self, *events: Any) -> None:
        """Let kinship find something out, and the engine look."""
        self.made[-1].said.extend(events)
        self.clock.advance(0.25)

    def seen(self) -> list[tuple[EventKind, int, int]]:
        """The events so far, but for those of being alone: kind, node, by."""
        recent = [event for event in self.events.recent() if "this node h" not in event.reason]
        return [(event.kind, event.node, event.by) for event in recent]
