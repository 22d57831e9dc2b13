"""The jobs of a node: those asked for here, wherever they run, and guests from other nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import IEvents, IJobs, IMembership, IMigrator, IPeers, IPlacement, IThreads, JobHere
from gomd.jobs.home.journal import Journal
from gomd.jobs.home.table import FIRST_FOREIGN_PID, HomeTable
from gomd.jobs.lifecycle.admission import Admission
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.output_quota import OutputLimits, OutputQuota
from gomd.jobs.lifecycle.relay import StreamRelay
from gomd.jobs.lifecycle.remote_jobs import RemoteJobs
from gomd.jobs.lifecycle.submit import JobSubmission
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.lifecycle.tracker import GONE, JobTracker
from gomd.jobs.migration.disabled import NoMigrator
from gomd.jobs.migration.location import JobLocations
from gomd.jobs.migration.service import Migrations
from libgomd.errors import Conflict, GomdError, NotFound, PeerUnreachable
from libgomd.model import Caller, Counter, Job, JobState
from libgomd.wallclock import Wall
from libgomd.wire import frames
from libgomd.wire.job_name import JobName

#: Jobs under way at once, when nobody says.
MOST = 1000
#: Seconds that the end waits for the disk.
CLOSE_LIMIT = 5.0


@implementer(IJobs)
class Jobs(Service):
    """
    :param abroad: makes what reaches other nodes, given whether the daemon still runs.
    :param here: starts the jobs that run on this node. :param placement: chooses nodes.
    :param journal: of the home table; it is opened when the service starts.
    :param wall: gives the time of stamps.
    :param peers: tell the homes of guests where these are. :param own_uid: the user this daemon runs as.
    :param migrator: makes what moves jobs.
    :param room: how many jobs may be under way at once, of this home and guests together.
    :param output: how much output of detached jobs is kept.
    :param disk: threads for the spool, so that a disk that hangs takes no others; ``threads`` without it.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        members: IMembership,
        threads: IThreads,
        events: IEvents,
        abroad: Callable[[Callable[[], bool]], RemoteJobs],
        here: Supervisors,
        placement: IPlacement,
        journal: Journal,
        peers: IPeers,
        *,
        wall: Wall,
        own_uid: int,
        room: Admission | None = None,
        output: OutputLimits | None = None,
        disk: IThreads | None = None,
        migrator: Callable[[JobTracker, HomeTable, JobLocations], IMigrator] | None = None,
    ) -> None:
        self._members = members
        self._clock = clock
        self._here = here
        self._journal = journal
        self._table = HomeTable(members.own_id, journal, forgotten=self._forget_output)
        self._keeper = JobTracker(clock, members, disk or threads, events, abroad, here, self._table, wall)
        running: Callable[[], bool] = lambda: not self._keeper.stopping  # noqa: E731
        self._whereabouts = JobLocations(clock, members, peers, self._keeper, self._table, running)
        self.migrator: IMigrator = NoMigrator("this daemon does not move processes")
        if migrator is not None:
            self.migrator = migrator(self._keeper, self._table, self._whereabouts)
        limits = output or OutputLimits(here.spool_bytes, 1 << 30, 1 << 32, here.spool_reserve)
        self._kept = OutputQuota(
            clock, disk or threads, here, self._table, self._keeper.held, int(members.own_id), limits
        )  # fmt: skip
        self._starting = JobSubmission(
            clock, members, threads, here, placement, journal, self._table, self._keeper, own_uid,
            room or Admission(own_uid, MOST), self._kept, wall,
        )  # fmt: skip
        self._following: Deferred[None] | None = None

    def run(self, caller: Caller, stream: FrameStream, guest: str = "") -> None:
        """See `IJobs.run`."""
        self._starting.run(caller, stream, guest)

    def startService(self) -> None:
        """
        Read the journal and find the jobs again that ran on while no daemon was there. Blocks briefly.

        What cannot be understood of one job is said, and keeps no other from being found.

        :raises OSError: the journal or the spool cannot be used at all.
        """
        super().startService()
        self._keeper.stopping = False
        self._here.open()
        self._journal.open()
        names = self._here.names()
        self._table.load(name.number for name in names if name.home == self._members.own_id)
        migrations = self.migrator if isinstance(self.migrator, Migrations) else None
        leaving, coming = migrations.load() if migrations is not None else (frozenset(), frozenset())
        for job in self._table:
            if not job.state.over:
                held = TrackedJob(job.name, job.job, job.uid, job.node, arriving=job.name in coming)
                if job.name in leaving:
                    held.departing = lambda: None
                self._surely(job.name, self._keeper.find_again, held)
        for each in names:
            name = str(each)
            if each.home != self._members.own_id:
                if name not in coming:
                    self._surely(name, self._find_guest, name, name in leaving)
            elif name not in self._keeper.held:
                self._surely(name, self._find_unknown, each.number, name)
        if migrations is not None:
            migrations.start()
        self._following = Deferred.fromCoroutine(self._keeper.follow())
        self._following.addErrback(lambda failure: None)  # cancelled at the end
        self._kept.start()

    def _surely(self, name: str, find: Callable[..., None], *arguments: object) -> None:
        """Find one job; whatever is wrong with it is its own affair."""
        try:
            find(*arguments)
        except Exception:  # noqa: BLE001 - a start does not fail for one job
            self._log.failure("job {job} cannot be found again: its directory is left as it is", job=name)

    def _find_guest(self, name: str, leaving: bool) -> None:
        told = self._here.read(name, "job") or {}
        guest = TrackedJob(name, None, _number(told, "uid", -1), self._members.own_id, StreamRelay(True))
        if leaving:
            guest.departing = lambda: None
        self._keeper.find_again(guest)
        if (nmigs := _number(told, "nmigs", 0)) and not leaving and self._keeper.held.get(name) is guest:
            self._whereabouts.tell(guest, nmigs)

    def _find_unknown(self, number: int, name: str) -> None:
        """Look at the directory of a job of this home that the table does not know, or knows to be over."""
        if (job := self._table.get(number)) is not None:
            if not job.detached:
                self._keeper.remove(name)
            return
        if not self._table.may_be_damaged(number):
            self._keeper.remove(name)  # its supervisor, if it has one, ends it then
            return
        told = self._here.read(name, "job")
        if told is None or not self._is_running(name):
            self._log.warn("job {job} is not known any more: its directory is left as it is", job=name)
            return
        job = _told_job(number, self._members.own_id, told)
        self._log.warn("job {job} is known from its own directory only: it is taken back", job=name)
        self._table.recover(job)
        self._keeper.find_again(TrackedJob(name, number, job.uid, job.node))

    def _is_running(self, name: str) -> bool:
        """Whether a job has a supervisor, or one that cannot be asked at this moment."""
        try:
            self._here.find(name).close()
        except OSError as error:
            return error.errno not in GONE
        return True

    def stopService(self) -> Deferred[None]:
        """Let go of every job; they go on, and are found again. Fires when the journal is written."""
        super().stopService()
        self._keeper.stopping = True
        if isinstance(self.migrator, Migrations):
            self.migrator.stop()
        self._kept.stop()
        if self._following is not None:
            self._following.cancel()
        for held in tuple(self._keeper.held.values()):
            held.relay.close()
        self._keeper.held.clear()
        self._here.close()

        def late(_result: object, _limit: float) -> None:
            self._log.error("the disk does not take the journal of jobs: its last lines may be missing")

        return self._journal.close().addTimeout(CLOSE_LIMIT, self._clock, late)

    def _forget_output(self, job: Job) -> None:
        if job.detached:
            self._keeper.remove(job.name)

    def rows(self, caller: Caller) -> Sequence[Job]:
        """See `IJobs.rows`."""
        return [job for job in self._table if caller.owns(job.uid)]

    def find(self, number: int, caller: Caller) -> Job:
        """See `IJobs.find`."""
        return self._table.find(number, caller)

    def of_pid(self, pid: int) -> Job | None:
        """See `IJobs.of_pid`."""
        return self._table.of_pid(pid)

    def pid_here(self, pid: int) -> int:
        """See `IJobs.pid_here`."""
        return self._table.pid_here(pid)

    def set_lock(self, name: str, lock: bool) -> None:
        """See `IJobs.set_lock`."""
        held = self._keeper.held.get(name)
        if held is None:
            raise NotFound(f"there is no job {name} here")
        if held.number is not None:
            self._table.change(held.number, lock=lock)
        if held.node == self._members.own_id:
            held.told = {**held.told, "lock": lock}
            held.relay.to_job(frames.encode_json(frames.MOVE, {"do": "lock", "lock": lock}))

    def moved(self, name: str, node: int, nmigs: int) -> None:
        """See `IJobs.moved`."""
        self._whereabouts.moved(name, node, nmigs)

    def written(self) -> Awaitable[None]:
        """See `IJobs.written`."""
        return self._table.written()

    def here(self) -> Sequence[JobHere]:
        """See `IJobs.here`."""
        return [
            self._job_here(held)
            for held in self._keeper.held.values()
            if held.began and held.over is None and held.told and held.node == self._members.own_id
        ]

    def _job_here(self, held: TrackedJob) -> JobHere:
        told = held.told
        name = JobName.parse(held.name)
        job = None if held.number is None else self._table.get(held.number)
        pid = int(told["pid"])
        return JobHere(
            name.home, name.number, pid, int(told["supervisor"]), held.uid, int(told.get("gid", -1)),
            " ".join(told["argv"])[:200],
            told.get("pid_at_home") or FIRST_FOREIGN_PID + name.number if job is None else job.pid or pid,
            int(told.get("nmigs") or 0) if job is None else job.nmigs,
            bool(told.get("lock")) if job is None else job.lock, self._cantmove(held),
            float(told.get("used") or 0.0), float(told.get("began") or 0.0),
        )  # fmt: skip

    def _cantmove(self, held: TrackedJob) -> str:
        if held.departing is not None:
            return "it is being moved"
        known = "it has a terminal" if held.told.get("tty") else str(held.told.get("cantmove") or "")
        return known or held.stays or self.migrator.cannot()

    def elsewhere(self) -> Sequence[Job]:
        """See `IJobs.elsewhere`."""
        own = self._members.own_id
        return [job for job in self._table if job.state is JobState.RUNNING and job.node != own]

    def check_attach(self, job: Job) -> None:
        """See `IJobs.check_attach`."""
        held = self._keeper.held.get(job.name)
        if held is not None and held.taken:
            raise Conflict(f"somebody is attached to job {job.job} already")
        if held is None and not job.detached:
            raise NotFound(f"job {job.job} is over, exit {job.exit}: nothing of it is kept but that")
        if held is None and (gone := self._kept.why_gone(job)):
            raise NotFound(f"job {job.job} is over, exit {job.exit}: {gone}")

    def attach(self, job: Job, stream: FrameStream) -> None:
        """See `IJobs.attach`."""
        try:
            self.check_attach(job)
            held = self._keeper.held.get(job.name)
            self._keeper.attach(
                self._keeper.view(job) if held is None or held.sink is not None else held, stream
            )
        except GomdError as error:
            stream.send(frames.failure(error))
            stream.close()

    def attach_guest(self, caller: Caller, name: str, stream: FrameStream) -> None:
        """See `IJobs.attach_guest`."""
        held = self._keeper.held.get(name)
        assert held is not None
        held.relay.drop_client()
        if held.told:
            stream.send(frames.encode_json(frames.STARTED, held.told))
        held.relay.join_client(stream)
        if held.over is not None and held.relay.job is not None:
            stream.send(frames.encode_json(frames.EXIT, held.over))

    def check_guest(self, caller: Caller, name: str) -> None:
        """See `IJobs.check_guest`."""
        self._whereabouts.check_gone(name)
        held = self._keeper.held.get(name)
        if held is None or held.number is not None or not caller.owns(held.uid):
            raise NotFound(f"there is no job {name} of yours here")

    def signal(self, job: Job, number: int, group: bool) -> None:
        """See `IJobs.signal`."""
        held = self._keeper.held.get(job.name)
        if held is None or held.over is not None:
            raise NotFound(f"job {job.job} is over, exit {job.exit}")
        if held.relay.job is None:
            raise PeerUnreachable(f"job {job.job} on node {job.node} cannot be reached now: try again")
        held.relay.to_job(frames.encode_signal(number, group))

    def counters(self) -> Iterable[Counter]:
        """See `IJobs.counters`."""
        yield Counter("jobs_started", self._keeper.begun, "jobs of this home that have begun")
        yield Counter("jobs_held", len(self._keeper.held), "jobs under way here, guests too")
        yield Counter("jobs_known", len(tuple(self._table)), "jobs in the home table")
        yield from self._kept.counters()
        yield from self.migrator.counters()
        yield Counter("jobs_journal_failed", self._journal.failed, "changes the journal could not be given")


def _number(told: Mapping[str, Any], name: str, default: int) -> int:
    value = told.get(name)
    return value if isinstance(value, int) else default


def _told_job(number: int, home: int, told: Mapping[str, Any]) -> Job:
    """Return a job of this home as its supervisor has described it. :raises LookupError: or it has not."""
    uid, pid, argv = told["uid"], told["pid"], told["argv"]
    if not (isinstance(uid, int) and isinstance(pid, int) and isinstance(argv, list)):
        raise LookupError(f"the description of job {number} is damaged")
    return Job(
        number, home, home, pid, str(told.get("user") or uid), JobState.RUNNING, None,
        " ".join(map(str, argv))[:200], uid, float(told.get("began") or 0.0), None, "",
        _number(told, "nmigs", 0), bool(told.get("lock")), bool(told.get("detach")), pid,
        str(told.get("cantmove") or ""),
    )  # fmt: skip
