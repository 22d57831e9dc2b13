"""How much output of detached jobs is kept, and what goes when it is too much."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.home.journal import Journal
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.output_quota import (
    MEASURE_INTERVAL,
    MEASURE_TIMEOUT,
    MEASUREMENT_MAX_AGE,
    MIN_OUTPUT_BYTES,
    OutputLimits,
    OutputQuota,
)
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracked import TrackedJob
from libgomd.errors import TimedOut
from libgomd.model import Caller, Job, JobState, Role
from libgomd.wire import frames
from tests.unit.jobs.memory_parts import AtOnce
from tests.unit.jobs.observers import RecordingObserver
from tests.unit.scratch import scratch
from tests.unit.services.held import HeldThreads

MB = 1 << 20
ANN, BOB = Caller(Role.USER, "ann", 1001, "unix"), Caller(Role.USER, "bob", 1002, "unix")
LIMITS = OutputLimits(stream=64 * MB, per_user=10 * MB, total=16 * MB, reserve=0)


class Stream:
    """A supervisor's connection, as far as it is told something."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def send(self, data: bytes) -> None:
        [frame] = frames.FrameParser().feed(data)
        assert frame.kind == frames.MOVE
        self.told.append(frames.decode_json(frame.payload))


class KeptOutputTests(SynchronousTestCase):
    """A home with a user's limit of 10 MB and 16 MB for all."""

    def setUp(self) -> None:
        place = Path(scratch(self))
        journal = Journal(str(place / "journal"), AtOnce())
        journal.open()
        self.addCleanup(journal.close)
        self.clock = Clock()
        self.clock.advance(1000)
        self.table = HomeTable(1, journal)
        self.spool = place / "spool"
        self.threads = AtOnce()
        self.held: dict[str, TrackedJob] = {}
        self.make(LIMITS)

    def make(self, limits: OutputLimits) -> None:
        here = Supervisors(None, str(self.spool), limits.stream, True, "node 1 alpha")  # type: ignore[arg-type]
        self.kept = OutputQuota(self.clock, self.threads, here, self.table, self.held, 1, limits)

    def job(self, uid: int, size: int, *, over: bool = True) -> Job:
        """A detached job that has written ``size`` bytes."""
        job = self.table.new(1, f"user{uid}", uid, "work", self.clock.seconds(), detached=True)
        self.write(job, size)
        self.clock.advance(0.001)
        if over:
            return self.table.change(job.job, state=JobState.DONE, exit=0, ended=self.clock.seconds())
        held = TrackedJob(self.clock, RecordingObserver(), job.name, uid, 1, number=job.job)
        self.held[job.name] = held
        held.relay.job = Stream()  # type: ignore[assignment]
        return self.table.started(job.job, 1, 4711, "")

    def write(self, job: Job, size: int) -> None:
        directory = self.spool / job.name
        directory.mkdir(parents=True, exist_ok=True)
        for name, part in (("stdout.0", size - size // 4), ("stderr.0", size // 4)):
            with open(directory / name, "wb") as file:
                file.truncate(part)
        (directory / "job").write_text("{}")

    def there(self) -> set[int]:
        return {int(name.partition("-")[2]) for name in os.listdir(self.spool)}

    def check(self, caller: Caller) -> str:
        self.clock.advance(MEASUREMENT_MAX_AGE)
        checked = Deferred.fromCoroutine(self.kept.check(caller))
        found: list[str] = []
        checked.addCallbacks(lambda _none: found.append(""), lambda failure: found.append(str(failure.value)))
        [text] = found
        return text

    def test_a_users_oldest_go_first(self) -> None:
        """Of jobs that are over, as many as it takes; another user's stay."""
        bobs = self.job(1002, 1 * MB)
        jobs = [self.job(1001, 3 * MB) for _ in range(4)]
        self.assertEqual(self.check(ANN), "")
        self.assertEqual(self.there(), {bobs.job, *(job.job for job in jobs[1:])})
        self.assertIn("being the oldest", self.kept.why_gone(jobs[0]))
        self.assertEqual(self.kept.why_gone(jobs[1]), "")

    def test_output_of_jobs_that_are_over_refuses_nobody(self) -> None:
        """Exactly full with it, there is room for more: the oldest goes when more has come."""
        jobs = [self.job(1001, 5 * MB) for _ in range(2)]
        self.assertEqual(self.check(ANN), "")
        self.assertEqual(self.there(), {job.job for job in jobs})
        running = self.job(1001, 10 * MB, over=False)
        self.assertIn("10.5 MB are a user's", self.check(ANN))
        self.assertEqual(self.there(), {running.job})

    def test_all_users_together(self) -> None:
        """Then the oldest of all."""
        jobs = [self.job(1001 + number % 3, 3 * MB) for number in range(6)]
        self.assertEqual(self.check(ANN), "")
        self.assertEqual(self.there(), {job.job for job in jobs[1:]})

    def test_running_ones_stay_and_are_told_to_keep_less(self) -> None:
        """Who has only those can start no more; others can."""
        jobs = [self.job(1001, 6 * MB, over=False) for _ in range(2)]
        self.assertIn("10.5 MB are a user's", self.check(ANN))
        self.assertEqual(self.check(BOB), "")
        self.kept.start()
        self.assertEqual(self.there(), {job.job for job in jobs})
        for held in self.held.values():
            self.assertEqual(held.relay.job.told, [{"do": "keep", "bytes": 10 * MB // 4}])  # type: ignore[union-attr]
        self.clock.advance(MEASURE_INTERVAL)
        for held in self.held.values():
            self.assertEqual(len(held.relay.job.told), 1)  # type: ignore[union-attr]
        self.kept.stop()

    def test_it_is_counted_as_it_grows(self) -> None:
        """What a job writes while it runs is seen at the next look."""
        job = self.job(1001, 1 * MB, over=False)
        self.assertEqual(self.check(ANN), "")
        self.write(job, 11 * MB)
        self.assertIn("11.5 MB of output of your detached jobs", self.check(ANN))
        self.assertEqual(self.kept.counts(), (11 * MB, 0))

    def test_jobs_keep_a_little_however_many_there_are(self) -> None:
        """Two pieces of each stream."""
        for _ in range(60):
            self.job(1001, 1 * MB, over=False)
        self.kept.start()
        told = [held.relay.job.told[-1]["bytes"] for held in self.held.values()]  # type: ignore[union-attr]
        self.assertEqual(set(told), {MIN_OUTPUT_BYTES})
        self.kept.stop()

    def test_a_disk_that_is_nearly_full(self) -> None:
        """Nothing is started, nothing removed, and the sentence says where and how much."""
        job = self.job(1001, 1 * MB)
        self.make(LIMITS._replace(reserve=1 << 62))
        self.assertIn(f"the disk of {self.spool} on node 1 alpha has ", self.check(ANN))
        self.assertIn("stay free", self.check(ANN))
        self.assertEqual(self.there(), {job.job})

    def test_a_disk_that_hangs(self) -> None:
        """Concurrent callers share one measurement; later ones are told that the disk hangs."""
        self.job(1001, 1 * MB)
        self.threads.hold.add("measure_disk")
        checks = [Deferred.fromCoroutine(self.kept.check(caller)) for caller in (ANN, BOB, ANN)]
        for check in checks:
            self.assertNoResult(check)
        [go_on] = self.threads.held
        go_on()
        for check in checks:
            self.successResultOf(check)

    def test_a_disk_that_takes_too_long(self) -> None:
        """It is not looked at again until it has answered."""
        self.job(1001, 1 * MB)
        threads = HeldThreads(self.clock)
        self.threads = threads  # type: ignore[assignment]
        self.make(LIMITS)
        first = Deferred.fromCoroutine(self.kept.check(ANN))
        second = Deferred.fromCoroutine(self.kept.check(BOB))
        self.clock.advance(MEASURE_TIMEOUT)
        self.failureResultOf(first, TimedOut)
        self.failureResultOf(second, TimedOut)
        self.assertIn("does not answer", self.check(BOB))
        threads.work()
        third = Deferred.fromCoroutine(self.kept.check(BOB))
        threads.work()
        self.successResultOf(third)

    def test_output_that_was_removed_by_hand(self) -> None:
        """Nobody can attach to that; one that has just ended is looked for."""
        old = self.job(1001, 1 * MB)
        gone = self.spool / old.name
        for path in gone.iterdir():
            path.unlink()
        gone.rmdir()
        self.assertEqual(self.kept.why_gone(old), "")
        self.check(ANN)
        self.assertIn("nothing of its output", self.kept.why_gone(old))
        self.assertEqual(self.kept.why_gone(self.job(1001, 1 * MB)), "")
