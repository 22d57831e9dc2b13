"""Looks up, hands over and takes over the jobs of this node, for migrations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gomd.interfaces import MoveCost
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.control import SupervisorControl
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.job_phase import Phase
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.lifecycle.tracker import JobTracker
from gomd.jobs.migration.details import WaitingSignal
from gomd.jobs.migration.location import JobLocations
from libgomd.errors import GomdError, NotFound
from libgomd.model import Job, JobState
from libgomd.wire.frames import MOVED, encode_signal
from libgomd.wire.job_messages import JobReport, encode
from libgomd.wire.job_orders import END, THAW, AwaitOrder, PlainOrder


class LocalJobs:
    """
    Reads and changes what this node tracks of jobs, for its migrations.

    A job is named ``HOME-JOB`` everywhere.

    :param locations: notes on which node a job is after a move, and tells its home.
    """

    def __init__(
        self,
        own_id: int,
        tracker: JobTracker,
        table: HomeTable,
        supervisors: Supervisors,
        locations: JobLocations,
    ) -> None:
        self._own_id = own_id
        self._tracker = tracker
        self._table = table
        self._supervisors = supervisors
        self._locations = locations

    # -- lookups

    def get(self, name: str) -> TrackedJob | None:
        """Return a job that this node tracks, wherever it runs; None when it tracks none of that name."""
        return self._tracker.jobs.get(name)

    def running(self, name: str) -> TrackedJob:
        """Return a job that runs on this node. :raises NotFound: there is none of that name."""
        job = self.get(name)
        if job is None or not job.runs_on(self._own_id):
            raise NotFound(f"no job {name or 'that gomd has started'} runs on this node")
        return job

    def is_current(self, job: TrackedJob) -> bool:
        """Whether this very job is still tracked here."""
        return self.get(job.name) is job

    def movable(self) -> Sequence[TrackedJob]:
        """Return the jobs that run on this node and are not being moved."""
        return [job for job in self._tracker.jobs.values() if job.runs_on(self._own_id) and not job.leaving]

    def any_tracked(self) -> bool:
        """Whether this node tracks any job."""
        return bool(self._tracker.jobs)

    def move_count(self, job: TrackedJob) -> int:
        """Return how often a job has moved."""
        known = self._at_home(job)
        if known is not None:
            return known.nmigs
        return 0 if job.running is None else job.running.nmigs

    def pid_at_home(self, name: str) -> int | None:
        """Return the process id by which its home knows a job, None when that is no id of its kernel's."""
        job = self.get(name)
        if job is None:
            return None
        known = self._at_home(job)
        if known is not None:
            return known.pid
        return None if job.running is None else job.running.pid_at_home

    def identity(self, name: str) -> str:
        """Return the identity of the first process of a job; empty when it is not known."""
        job = self.get(name)
        if job is None:
            return ""
        known = self._at_home(job)
        return (known.identity if known is not None else "") or (job.running.identity if job.running else "")

    def is_locked(self, name: str) -> bool:
        """Whether balancing must leave a job where it is."""
        job = self.get(name)
        if job is None:
            return False
        known = self._at_home(job)
        if known is not None:
            return known.lock
        return job.running is not None and job.running.lock

    def carries(self, name: str) -> bool:
        """Whether files travel with a job."""
        job = self.get(name)
        return job is not None and job.running is not None and bool(job.running.carry)

    def runs_for_home(self, number: int, name: str) -> bool:
        """Whether this node is the home of a job and counts it as running."""
        known = self._table.get(number)
        return known is not None and known.state is JobState.RUNNING and self.get(name) is not None

    def has_returned(self, name: str, times: int) -> bool:
        """Whether a job that left this node has come back since, so that it has moved ``times`` or more."""
        running = self._supervisors.read_running(name)
        return running is not None and running.nmigs >= times

    def _at_home(self, job: TrackedJob) -> Job | None:
        return None if job.number is None else self._table.get(job.number)

    # -- supervisors

    def control(self, name: str) -> SupervisorControl | None:
        """Return the control of a job's supervisor; None when it has none here."""
        job = self.get(name)
        return None if job is None else job.control

    def is_connected(self, name: str) -> bool:
        """Whether there is a connection to the supervisor of a job."""
        job = self.get(name)
        return job is not None and job.connected

    @property
    def no_memory_limit(self) -> str:
        """Why the memory of a job cannot be limited on this node, empty when it can."""
        return str(self._supervisors.no_limit)

    def await_copy(self, name: str) -> FrameStream | None:
        """
        Start a supervisor that gets ready for a job that comes; None when none can be started now.

        Give the stream to `restore`, or close it.
        """
        try:
            return self._supervisors.await_copy(name)
        except GomdError:
            return None  # the restore tries again, and says why not

    def keep_spare(self) -> None:
        """Have a supervisor ready for the next job that comes or begins here."""
        self._supervisors.keep_spare()

    def restore(
        self, name: str, directory: str, criu: str, *,
        detach: bool, lock: bool, nmigs: int, pid_at_home: int | None, uid: int | None,
        identity: str = "", waiting: FrameStream | None = None,
    ) -> FrameStream:  # fmt: skip
        """
        Let a supervisor restore a job from images in ``directory``; return the stream to it.

        :param waiting: what `await_copy` returned; one that is gone, or None, is replaced by a new one.
        """
        return self._supervisors.restore(
            name, directory, criu, detach=detach, lock=lock, nmigs=nmigs, pid_at_home=pid_at_home, uid=uid,
            identity=identity, waiting=waiting,
        )  # fmt: skip

    def find_supervisor(self, name: str) -> FrameStream:
        """Connect to the supervisor of a job. :raises OSError: there is none, or it cannot be reached."""
        return self._supervisors.connect(name)

    def end_leftover(self, name: str) -> None:
        """End the stopped process of a job that has moved, if its supervisor is still there."""
        try:
            stream = self.find_supervisor(name)
        except OSError:
            return
        stream.send(encode(PlainOrder(END)))
        stream.listen(lambda frame: stream.close() if frame.kind == MOVED else None)

    # -- a job that leaves

    def await_freeze(self, name: str, criu: str, directory: str, tls: tuple[str, str, str]) -> None:
        """Let the supervisor of a job get ready to freeze it, if it is connected. See `AwaitOrder`."""
        job = self.get(name)
        if job is not None and job.connected:
            job.relay.to_job(encode(AwaitOrder(name, None, criu, directory, tls)))

    def forgo_freeze(self, name: str) -> None:
        """Let the supervisor of a job that is not frozen end what `await_freeze` has begun."""
        job = self.get(name)
        if job is not None and job.connected:
            job.relay.to_job(encode(PlainOrder(THAW)))

    def begin_leaving(self, name: str, supervisor_lost: Callable[[str], None]) -> None:
        """
        Note that a job is being moved away, so that it is not lost when its supervisor is gone.

        :param supervisor_lost: called with the reason then.
        """
        job = self.get(name)
        if job is not None:
            tracked = job
            tracked.leave(
                lambda: supervisor_lost(
                    "its supervisor ended without a word" if tracked.exit is None else "it has ended"
                )
            )

    def moved_away(self, name: str, node_id: int, times: int, pid: int | None = None) -> None:
        """
        Note that it is decided that a job runs on another node. May be called twice.

        :param pid: of its first process there, when that node has told.
        """
        self._locations.went(name, node_id, times, pid)

    def announce(self, name: str, node_id: int, cost: MoveCost) -> None:
        """Publish that a job of this node runs on another one now, and what its move took."""
        self._locations.announce(name, node_id, cost)

    def left(self, name: str, node_id: int) -> None:
        """Note that nothing of a job is left on this node."""
        self._locations.left(name, node_id)

    def finish_leaving(self, name: str, node_id: int, ended_here: bool) -> None:
        """
        Track a job as before, now that it has moved to ``node_id``.

        :param ended_here: whether `left` was called.
        """
        job = self.get(name)
        if job is None:
            return
        job.stop_leaving()
        if not ended_here and not job.connected and not job.seeking_node:
            self._locations.left(name, node_id)

    def stay(self, name: str) -> None:
        """Track a job as before, now that it has not moved."""
        job = self.get(name)
        if job is None:
            return
        job.stop_leaving()
        if not job.connected:
            if job.exit is None:
                self._tracker.find_again(job)
            else:  # it ended while it was to leave, and that was noted
                self._tracker.release(job)

    def lose_leaving(self, name: str) -> None:
        """Give up a job that was lost while it was to leave."""
        job = self.get(name)
        if job is None:
            return
        job.stop_leaving()
        if job.number is not None:
            self._tracker.lose(job, "this machine went down while it was being moved")
        else:  # its home finds out when it asks
            self._tracker.release(job)
            self._supervisors.remove(name)

    # -- a job that comes

    def expect(self, name: str, expected: bool) -> None:
        """Note that a stopped copy of a job may be on this node, or that this is settled."""
        self._locations.expect(name, expected)

    async def prepare_return(self, name: str) -> bool:
        """
        Let the new supervisor of a job that comes home write the files of its output, if it is detached.

        :returns: whether it is.
        """
        job = self.get(name)
        if job is None or job.number is None:
            return False
        job.arrive()
        known = self._table.get(job.number)
        writer = job.stop_keeping()
        if writer is not None:
            await writer.closed()
        return known is not None and known.detached

    def cancel_return(self, name: str) -> None:
        """Track a job as before, now that it does not come home."""
        job = self.get(name)
        if job is not None and job.phase is Phase.ARRIVING:
            job.stop_arriving()
            self._tracker.keep_output_if_detached(job)
            if not job.connected:
                self._tracker.find_again(job)

    def arrived(self, name: str, stream: FrameStream, running: JobReport, times: int) -> None:
        """
        Track a job that runs on this node now.

        :param stream: the connection to its supervisor. :param running: how that describes the job.
        """
        self._locations.arrived(name, stream, running, times)

    def finish_coming(self, name: str, runs_here: bool) -> None:
        """Track a job as before, now that its move to this node is settled."""
        job = self.get(name)
        if job is None:
            return
        job.stop_arriving()
        if runs_here and job.number is not None and job.node != self._own_id:
            self._tracker.lose(job, "this machine went down when it had just come home")

    def pass_on(self, name: str, signals: Sequence[WaitingSignal]) -> bool:
        """Send a job the signals that came while it was stopped. :returns: whether it is tracked here."""
        job = self.get(name)
        if job is None:
            return False
        for number, group in signals:
            job.relay.to_job(encode_signal(number, group))
        return True

    def drop_side(self, name: str) -> None:
        """Track a job as before: its migration cannot be taken up again."""
        self.expect(name, False)
        job = self.get(name)
        if job is not None:
            job.stop_leaving()
            job.stop_arriving()

    # -- its home, and other nodes

    async def tell_home(self, name: str, node_id: int, times: int) -> None:
        """Tell the home of a job on which node it is, until it has heard."""
        await self._locations.tell_home(name, node_id, times)

    def forget_left(self, name: str, node_id: int) -> None:
        """Forget that a job went to ``node_id``, now that its home knows."""
        self._locations.forget(name, node_id)

    async def written(self) -> None:
        """Wait until the table of this home is on the disk."""
        await self._table.written()
