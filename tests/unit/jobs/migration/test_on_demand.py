"""A daemon loads what moves processes when it is first needed, and loses nothing by that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gomd.interfaces import IMigrator, MigrationSubject
from gomd.jobs.migration.counts import migration_counters
from gomd.jobs.migration.on_demand import MigrationsOnDemand
from libgomd.errors import CannotMove, NotPossible, TimedOut
from libgomd.model import Counter


@implementer(IMigrator)
class _Made:
    """Notes what is called."""

    kind = "criu"

    def __init__(self) -> None:
        self.called: list[Any] = []

    def cannot(self) -> str:
        return "criu is broken"

    async def check(self) -> str:
        return "criu was checked"

    async def reasons(self, subject: MigrationSubject, node: int) -> list[str]:
        return [f"not {subject.pid} to {node}"]

    async def migrate(self, subject: MigrationSubject, node: int) -> None:
        self.called.append(("migrate", subject.pid, node))

    def join(self, node: int, stream: Any) -> None:
        self.called.append(("join", node, stream))

    def load(self) -> tuple[frozenset[str], frozenset[str]]:
        self.called.append("load")
        return frozenset({"1-1"}), frozenset({"2-1"})

    def start(self) -> None:
        self.called.append("start")

    def stop(self) -> None:
        self.called.append("stop")

    def node_down(self, node: int) -> None:
        self.called.append(("down", node))

    def counters(self) -> Iterator[Counter]:
        return migration_counters(out=3)


class _Stream:
    gone = False

    def __init__(self) -> None:
        self.told: list[Any] = []

    def pause_reading(self, paused: bool) -> None:
        self.told.append(paused)

    def close(self) -> None:
        self.told.append("closed")


class _Daemon:
    """A migrator on demand, and whether there is one to be had."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.made: _Made | None = None
        self.waiting: list[Deferred[None]] = []
        self.migrator = MigrationsOnDemand(self._ready, lambda: self.made)

    async def _ready(self) -> _Made:
        wait: Deferred[None] = Deferred()
        self.waiting.append(wait)
        await wait
        if self.error is not None:
            raise self.error
        self.made = self.made or _Made()
        return self.made

    def work(self) -> None:
        """Let it be made."""
        while self.waiting:
            self.waiting.pop().callback(None)


def outcome(result: Any) -> list[Any]:
    """The result of a coroutine, when there is one; a failure too."""
    found: list[Any] = []
    Deferred.fromCoroutine(result).addBoth(found.append)
    return found


def test_it_is_a_migrator() -> None:
    verifyObject(IMigrator, _Daemon().migrator)


def test_an_idle_daemon_makes_nothing() -> None:
    """It says the same about itself as one that has a migrator and moved nothing."""
    daemon = _Daemon()
    assert daemon.migrator.cannot() == ""
    assert list(daemon.migrator.counters()) == list(migration_counters())
    assert daemon.waiting == []


def test_a_stream_of_another_node_waits_for_it() -> None:
    """Nothing is read from the stream before that; the next one does not wait."""
    daemon, stream, later = _Daemon(), _Stream(), _Stream()
    daemon.migrator.join(2, stream)
    assert stream.told == [True]
    daemon.work()
    daemon.migrator.join(3, later)
    assert daemon.made is not None
    assert daemon.made.called == [("join", 2, stream), ("join", 3, later)]


def test_another_node_does_not_wait_for_ever() -> None:
    """Whatever goes wrong: the log has it, and the connection ends."""
    daemon, stream = _Daemon(ValueError("a journal of another age")), _Stream()
    daemon.migrator.join(2, stream)
    daemon.work()
    assert stream.told == [True, "closed"]


def test_a_stream_that_broke_meanwhile_is_not_joined() -> None:
    daemon, stream = _Daemon(), _Stream()
    daemon.migrator.join(2, stream)
    stream.gone = True
    daemon.work()
    assert daemon.made is not None
    assert daemon.made.called == []


def test_whoever_asks_waits_for_it() -> None:
    daemon, subject = _Daemon(), MigrationSubject(7, "1-1")
    asked = (
        daemon.migrator.check(),
        daemon.migrator.reasons(subject, 2),
        daemon.migrator.migrate(subject, 2),
    )
    found = [outcome(each) for each in asked]
    assert found == [[], [], []]
    daemon.work()
    assert found == [["criu was checked"], [["not 7 to 2"]], [None]]
    assert daemon.migrator.cannot() == "criu is broken"
    assert next(iter(daemon.migrator.counters())).value == 3


def test_what_cannot_be_made_refuses_moves_and_nothing_else() -> None:
    """The next one who asks tries again."""
    sentence = "the files of gomd were replaced: restart it"
    daemon, stream, subject = _Daemon(NotPossible(sentence)), _Stream(), MigrationSubject(7, "1-1")
    daemon.migrator.join(2, stream)
    checked, reasons = outcome(daemon.migrator.check()), outcome(daemon.migrator.reasons(subject, 2))
    moved = outcome(daemon.migrator.migrate(subject, 2))
    daemon.work()
    assert stream.told == [True, "closed"]
    assert (checked, reasons) == ([sentence], [[sentence]])
    assert moved[0].check(CannotMove)
    assert moved[0].getErrorMessage() == sentence
    daemon.error = None
    again = outcome(daemon.migrator.check())
    daemon.work()
    assert again == ["criu was checked"]


def test_a_disk_that_hangs_is_told() -> None:
    daemon = _Daemon(TimedOut("the disk hangs"))
    moved = outcome(daemon.migrator.migrate(MigrationSubject(7, "1-1"), 2))
    daemon.work()
    assert moved[0].check(TimedOut)
