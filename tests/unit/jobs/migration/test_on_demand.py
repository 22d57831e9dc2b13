"""A daemon loads what moves processes when it is first needed, and loses nothing by that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gomd.interfaces import IMigrator, MigrationSubject
from gomd.jobs.migration.counts import migration_counters
from gomd.jobs.migration.on_demand import LOAD_TIMEOUT, MigrationsOnDemand
from libgomd.errors import CannotMove, NotPossible, TimedOut
from libgomd.model import Counter
from tests.unit.services.held import HeldThreads


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
    """A migrator on demand, with what it was made of."""

    def __init__(self, leftovers: bool = False, error: Exception | None = None) -> None:
        self.clock = Clock()
        self.threads = HeldThreads(self.clock)
        self.loaded = 0
        self.error = error
        self.made: list[_Made] = []
        self.migrator = MigrationsOnDemand(self.threads, self._load, self._make, lambda: leftovers)

    def _load(self) -> None:
        if self.error is not None:
            raise self.error
        self.loaded += 1

    def _make(self) -> _Made:
        assert self.loaded
        self.made.append(_Made())
        return self.made[-1]

    def run(self) -> MigrationsOnDemand:
        """Start it, as `Jobs` does."""
        self.unsettled = self.migrator.load()
        self.migrator.start()
        return self.migrator


def outcome(result: Any) -> list[Any]:
    """The result of a coroutine, when there is one; a failure too."""
    found: list[Any] = []
    Deferred.fromCoroutine(result).addBoth(found.append)
    return found


def test_it_is_a_migrator() -> None:
    verifyObject(IMigrator, _Daemon().migrator)


def test_an_idle_daemon_loads_nothing() -> None:
    """It says the same about itself as one that has loaded all and moved nothing."""
    daemon = _Daemon()
    migrator = daemon.run()
    migrator.node_down(3)
    assert migrator.cannot() == ""
    assert list(migrator.counters()) == list(migration_counters())
    migrator.stop()
    assert (daemon.unsettled, daemon.loaded, daemon.threads.waiting) == ((frozenset(), frozenset()), 0, [])


def test_what_an_earlier_daemon_left_is_taken_up_at_the_start() -> None:
    daemon = _Daemon(leftovers=True)
    daemon.run()
    assert daemon.unsettled == (frozenset({"1-1"}), frozenset({"2-1"}))
    assert daemon.made[0].called == ["load", "start"]


def test_a_job_found_again_at_the_start_is_enough() -> None:
    """It is loaded at once, before the jobs are served."""
    daemon = _Daemon()
    daemon.migrator.load()
    daemon.migrator.job_came()
    daemon.migrator.start()
    assert daemon.made[0].called == ["load", "start"]


def test_the_first_job_loads_it_on_a_thread() -> None:
    """The reactor does not wait for the disk; the second job loads nothing."""
    daemon = _Daemon()
    migrator = daemon.run()
    migrator.job_came()
    assert daemon.loaded == 0
    migrator.job_came()
    daemon.threads.work()
    assert [made.called for made in daemon.made] == [["load", "start"]]
    migrator.job_came()
    assert daemon.threads.waiting == []
    assert migrator.cannot() == "criu is broken"
    assert next(iter(migrator.counters())).value == 3
    migrator.node_down(3)
    migrator.stop()
    assert daemon.made[0].called[2:] == [("down", 3), "stop"]


def test_a_stream_of_another_node_waits_for_it() -> None:
    """Nothing is read from the stream before that."""
    daemon, stream = _Daemon(), _Stream()
    migrator = daemon.run()
    migrator.join(2, stream)
    assert stream.told == [True]
    daemon.threads.work()
    assert daemon.made[0].called == ["load", "start", ("join", 2, stream)]


def test_a_stream_that_broke_meanwhile_is_not_joined() -> None:
    daemon, stream = _Daemon(), _Stream()
    daemon.run().join(2, stream)
    stream.gone = True
    daemon.threads.work()
    assert daemon.made[0].called == ["load", "start"]


def test_whoever_asks_waits_for_it() -> None:
    daemon = _Daemon()
    migrator = daemon.run()
    subject = MigrationSubject(7, "1-1")
    found = [
        outcome(each)
        for each in (migrator.check(), migrator.reasons(subject, 2), migrator.migrate(subject, 2))
    ]
    assert found == [[], [], []]
    daemon.threads.work()
    assert found == [["criu was checked"], [["not 7 to 2"]], [None]]
    assert daemon.made[0].called == ["load", "start", ("migrate", 7, 2)]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            NotPossible("the files of gomd were replaced: restart it"),
            "the files of gomd were replaced: restart it",
        ),
        (ImportError("No module named 'gomd.x'"), "broken, install it again: No module named 'gomd.x'"),
    ],
)
def test_what_cannot_be_loaded_refuses_moves_and_nothing_else(error: Exception, sentence: str) -> None:
    """The next one who asks tries again."""
    daemon, stream = _Daemon(error=error), _Stream()
    migrator = daemon.run()
    migrator.job_came()
    migrator.join(2, stream)
    subject = MigrationSubject(7, "1-1")
    checked, reasons = outcome(migrator.check()), outcome(migrator.reasons(subject, 2))
    moved = outcome(migrator.migrate(subject, 2))
    daemon.threads.work()
    assert stream.told == [True, "closed"]
    assert checked[0].endswith(sentence)
    assert reasons[0][0].endswith(sentence)
    assert isinstance(moved[0], Failure)
    assert moved[0].check(CannotMove)
    assert moved[0].getErrorMessage().endswith(sentence)
    daemon.error = None
    again = outcome(migrator.check())
    daemon.threads.work()
    assert again == ["criu was checked"]


def test_a_disk_that_hangs_is_told() -> None:
    daemon = _Daemon()
    moved = outcome(daemon.run().migrate(MigrationSubject(7, "1-1"), 2))
    daemon.clock.advance(LOAD_TIMEOUT)
    assert moved[0].check(CannotMove, TimedOut)


def test_a_daemon_that_stops_meanwhile_moves_nothing() -> None:
    daemon = _Daemon()
    migrator = daemon.run()
    moved = outcome(migrator.migrate(MigrationSubject(7, "1-1"), 2))
    migrator.stop()
    daemon.threads.work()
    assert daemon.made == []
    assert moved[0].check(CannotMove)
