"""A daemon makes what runs jobs when the first one comes, and loses nothing by that."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from gomd.interfaces import IJobs, IRelocation
from gomd.jobs.counts import job_counters
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.migration.counts import migration_counters
from gomd.jobs.on_demand import LOAD_TIMEOUT, JobsOnDemand
from gomd.jobs.relocation_on_demand import RelocationOnDemand
from gomd.web.job_streams import MemoryConnection
from libgomd.errors import Conflict, GomdError, MalformedRequest, NotAllowed, NotFound, NotPossible
from libgomd.model import Caller, Job, JobState, Role
from libgomd.wire import frames
from libgomd.wire.frames import Frame
from tests.unit.services.held import HeldThreads

ANN = Caller(Role.USER, "ann", 1001, "test")
JOB = Job(1, 7, 7, None, "ann", JobState.RUNNING, None, "sleep", 1001, 0.0)


class _MadeJobs:
    """Notes what is called; a stream is read as `JobSubmission` does."""

    migrator: Any = object()

    def __init__(self, daemon: _DaemonOfJobs) -> None:
        self._daemon = daemon
        self.called: list[Any] = []
        self.frames: list[Frame] = []

    def startService(self) -> None:
        if self._daemon.disk_error is not None:
            raise self._daemon.disk_error
        self.called.append("start")

    def stopService(self) -> Deferred[None]:
        self.called.append("stop")
        return succeed(None)

    def run(self, caller: Caller, stream: FrameStream, guest: str = "") -> None:
        self.called.append(("run", caller.user, guest))
        stream.listen(self.frames.append)

    def carry(self, caller: Caller, name: str, step: str, stream: FrameStream) -> None:
        self.called.append(("carry", name, step))

    def check_carry(self, caller: Caller, name: str, step: str, node: int) -> None:
        raise Conflict("it runs here")

    def rows(self, caller: Caller) -> list[Job]:
        return [JOB]

    def find(self, number: int, caller: Caller) -> Job:
        return JOB

    def counters(self) -> list[Any]:
        return ["counted"]


class _DaemonOfJobs:
    """Jobs on demand, with what they are made of."""

    def __init__(self, leftovers: bool = False, error: Exception | None = None) -> None:
        self.threads = HeldThreads(Clock())
        self.error = error
        self.disk_error: OSError | None = None
        self.loaded = 0
        self.made: list[_MadeJobs] = []
        self.jobs = JobsOnDemand(self.threads, self._load, self._make, lambda: leftovers, 7)

    def _load(self) -> None:
        if self.error is not None:
            raise self.error
        self.loaded += 1

    def _make(self) -> _MadeJobs:
        assert self.loaded
        self.made.append(_MadeJobs(self))
        return self.made[-1]

    def start(self) -> JobsOnDemand:
        self.jobs.startService()
        return self.jobs


class _CallerEnd:
    """The other end of a request that was taken."""

    def __init__(self) -> None:
        self.heard: list[Frame] = []
        self.closed = False
        self.connection = MemoryConnection(self.heard.append, self._close)
        self.stream = self.connection.stream
        self.paused: list[bool] = []
        pause = self.stream.pause_reading

        def note(paused: bool) -> None:
            self.paused.append(paused)
            pause(paused)

        self.stream.pause_reading = note  # type: ignore[method-assign]

    def _close(self) -> None:
        self.closed = True


def test_they_are_jobs() -> None:
    verifyObject(IJobs, _DaemonOfJobs().jobs)
    daemon = _DaemonOfJobs()
    verifyObject(IRelocation, RelocationOnDemand(daemon.threads, daemon._load, lambda: None))  # type: ignore[arg-type, return-value]


def test_an_idle_daemon_makes_nothing() -> None:
    """It answers as one whose last job is long forgotten."""
    daemon = _DaemonOfJobs()
    jobs = daemon.start()
    assert (jobs.rows(ANN), jobs.here(), jobs.elsewhere()) == ((), (), ())
    assert (jobs.of_pid(12), jobs.pid_here(12)) == (None, 12)
    assert list(jobs.counters()) == list(job_counters(migration_counters()))
    assert jobs.stopService() is None
    assert (daemon.loaded, daemon.made, daemon.threads.waiting) == (0, [], [])


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda jobs: jobs.find(3, ANN), "there is no job 3 here: `jobs` lists them"),
        (lambda jobs: jobs.set_lock("7-3", True), "there is no job 7-3 here"),
        (lambda jobs: jobs.moved("7-3", 2, 1), "there is no job 7-3 any more"),
        (lambda jobs: jobs.check_guest(ANN, "2-3"), "there is no job 2-3 of yours here"),
        (lambda jobs: jobs.check_attach(JOB), "there is no job 1 here"),
    ],
)
def test_there_is_no_job_before_the_first(ask: Any, sentence: str) -> None:
    with pytest.raises(NotFound) as found:
        ask(_DaemonOfJobs().start())
    assert str(found.value) == sentence


def test_what_an_earlier_daemon_left_is_taken_up_at_the_start() -> None:
    daemon = _DaemonOfJobs(leftovers=True)
    jobs = daemon.start()
    assert daemon.made[0].called == ["start"]
    counted: list[Any] = list(jobs.counters())
    assert (list(jobs.rows(ANN)), counted) == ([JOB], ["counted"])
    jobs.stopService()
    assert daemon.made[0].called == ["start", "stop"]


@pytest.mark.parametrize("size", [2, 2 << 20])
def test_the_first_job_waits_for_them_and_the_second_does_not(size: int) -> None:
    """What the caller has sent is there, and nothing more is read meanwhile."""
    daemon, first, second = _DaemonOfJobs(), _CallerEnd(), _CallerEnd()
    jobs = daemon.start()
    jobs.run(ANN, first.stream)
    assert (daemon.loaded, first.paused) == (0, [True])
    first.connection.say(frames.encode(frames.SPEC, b"x" * size))
    daemon.threads.work()
    assert first.paused[-1] is False
    jobs.run(ANN, second.stream, "2-9")
    [made] = daemon.made
    assert made.called == ["start", ("run", "ann", ""), ("run", "ann", "2-9")]
    assert made.frames == [Frame(frames.SPEC, b"x" * size)]
    assert jobs.find(1, ANN) == JOB


def test_two_first_jobs_make_them_once() -> None:
    daemon, first, second = _DaemonOfJobs(), _CallerEnd(), _CallerEnd()
    jobs = daemon.start()
    jobs.run(ANN, first.stream)
    jobs.run(ANN, second.stream)
    daemon.threads.work()
    [made] = daemon.made
    assert made.called == ["start", ("run", "ann", ""), ("run", "ann", "")]


def test_a_caller_who_left_meanwhile_starts_nothing() -> None:
    daemon, caller = _DaemonOfJobs(), _CallerEnd()
    daemon.start().run(ANN, caller.stream)
    caller.connection.hang_up()
    daemon.threads.work()
    assert daemon.made[0].called == ["start"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NotPossible("the files of gomd were replaced"), "the files of gomd were replaced"),
        (
            ImportError("No module named 'gomd.x'"),
            "this installation of gomd is broken, install it again: No module",
        ),
        (SyntaxError("'(' was never closed"), "this installation of gomd is broken, install it again: '('"),
    ],
)
def test_a_caller_is_told_why_there_can_be_no_job(error: Exception, sentence: str) -> None:
    """A node that sends files too; and the next one tries again."""
    daemon, caller, peer = _DaemonOfJobs(error=error), _CallerEnd(), _CallerEnd()
    jobs = daemon.start()
    jobs.run(ANN, caller.stream)
    jobs.carry(ANN, "2-9", "put", peer.stream)
    daemon.threads.work()
    assert (caller.closed, peer.closed) == (True, True)
    assert sentence in caller.heard[0].payload.decode()
    assert sentence in peer.heard[0].payload.decode()
    daemon.error, again = None, _CallerEnd()
    jobs.run(ANN, again.stream)
    daemon.threads.work()
    assert daemon.made[0].called == ["start", ("run", "ann", "")]


def test_a_disk_that_cannot_be_used_refuses_that_job() -> None:
    daemon, caller = _DaemonOfJobs(), _CallerEnd()
    daemon.disk_error = OSError(28, "No space left on device")
    jobs = daemon.start()
    jobs.run(ANN, caller.stream)
    daemon.threads.work()
    assert "No space left on device" in caller.heard[0].payload.decode()
    assert jobs.rows(ANN) == ()


def test_nobody_waits_for_ever_for_jobs_that_cannot_be_made() -> None:
    """Whatever goes wrong: the log has it, and the connection ends."""
    daemon, caller = _DaemonOfJobs(), _CallerEnd()
    daemon.disk_error = ValueError("a journal of another age")  # type: ignore[assignment]
    daemon.start().run(ANN, caller.stream)
    daemon.threads.work()
    assert caller.closed


def test_a_disk_that_hangs_is_given_up() -> None:
    daemon, caller = _DaemonOfJobs(), _CallerEnd()
    daemon.start().run(ANN, caller.stream)
    daemon.threads._clock.advance(LOAD_TIMEOUT)  # type: ignore[attr-defined]
    assert (caller.closed, daemon.made) == (True, [])


def test_a_daemon_that_stops_meanwhile_makes_nothing() -> None:
    daemon, caller = _DaemonOfJobs(), _CallerEnd()
    jobs = daemon.start()
    jobs.run(ANN, caller.stream)
    jobs.stopService()
    daemon.threads.work()
    assert (daemon.made, caller.closed) == ([], True)


def test_a_peer_may_do_what_it_may_once_there_are_jobs() -> None:
    """The home of a job puts its files here before the job itself comes."""
    daemon, peer = _DaemonOfJobs(), _CallerEnd()
    jobs = daemon.start()
    jobs.check_carry(ANN, "2-9", "put", 2)
    refused: list[tuple[str, str, int, type[GomdError]]] = [
        ("2-9", "put", 3, NotAllowed), ("7-9", "put", 7, NotAllowed), ("2-9", "eat", 2, MalformedRequest),
    ]  # fmt: skip
    for name, step, node, error in refused:
        with pytest.raises(error):
            jobs.check_carry(ANN, name, step, node)
    jobs.carry(ANN, "2-9", "put", peer.stream)
    daemon.threads.work()
    assert daemon.made[0].called == ["start", ("carry", "2-9", "put")]
    with pytest.raises(Conflict):
        jobs.check_carry(ANN, "2-9", "put", 2)


def test_relocation_is_made_for_the_first_request() -> None:
    """It says so when it cannot be."""

    class Made:
        async def bring(self) -> int:
            return 3

    threads, errors = HeldThreads(Clock()), [ImportError("gone")]

    def load() -> None:
        if errors:
            raise errors.pop()

    made: list[Made] = []

    def make() -> Any:
        made.append(Made())
        return made[-1]

    relocation = RelocationOnDemand(threads, load, make)
    found: list[Any] = []
    for _ in range(3):
        Deferred.fromCoroutine(relocation.bring()).addBoth(found.append)
        threads.work()
    assert found[0].check(NotPossible)
    assert (found[1:], len(made)) == ([3, 3], 1)
