"""The home table: every job that was started from this node, where it runs and how it ended, durably."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gomd.jobs.home.journal import Journal
from gomd.jobs.home.process_ids import FIRST_FOREIGN_PID, foreign_identity, lives
from libgomd.errors import MalformedReply, NotAllowed, NotFound
from libgomd.model import Caller, Job, JobState
from libgomd.wire.values import decode, encode

#: Exit status of a job that was lost with its node: 128 + SIGTERM, as if it had been told to end.
LOST_EXIT = 143
#: Maximum number of former process ids at home that are remembered of a job, beside the first.
_MAX_FORMER_PIDS = 63
#: The key, no job's, under which the journal keeps the last number that was given.
_COUNTER = 0
#: The entry of a job whose line in the journal was damaged.
_DAMAGED: Mapping[str, object] = {"damaged": True}
#: Maximum number of such entries.
_MAX_DAMAGED = 1000


class HomeTable:
    """
    :param own_id: the id of this node. :param journal: keeps it; is open.
    :param keep: how many jobs that are over are remembered.
    :param forgotten: called with a job when it is no longer remembered.
    :param exists: tells whether a process of that id lives on this node.
    :param changed: called with the number of a job whose entry has changed.
    """

    def __init__(
        self,
        own_id: int,
        journal: Journal,
        keep: int = 500,
        forgotten: Callable[[Job], None] = lambda _: None,
        exists: Callable[[int], bool] = lambda pid: lives(pid),
        changed: Callable[[int], None] = lambda _number: None,
    ) -> None:
        self._changed = changed
        self._exists = exists
        self._own_id = own_id
        self._journal = journal
        self._keep = keep
        self._forgotten = forgotten
        self._jobs: dict[int, Job] = {}
        self._damaged: set[int] = set()
        self._over = 0
        self._last = 0

    def load(self, present: Iterable[int] = ()) -> None:
        """
        Read the entries of the journal; one that cannot be understood is dropped.

        A number that a damaged line may have had is never given again.

        :param present: numbers of jobs that have a directory here.
        """
        found = self._journal.found
        for number in found.damaged:
            self._journal.put(number, dict(_DAMAGED))
        counted = 0
        for number, values in sorted(self._journal.values.items()):
            if number == _COUNTER:
                last = values.get("last")
                counted = last if isinstance(last, int) else 0
                continue
            if values == _DAMAGED:
                self._damaged.add(number)
                continue
            try:
                job = decode(Job, values)
                if job.job != number:
                    raise MalformedReply(f"job {job.job} under number {number}")
            except MalformedReply:
                self._journal.put(number, None)
            else:
                self._jobs[number] = job
                self._over += job.state.over
        known = (*self._jobs, *self._damaged, *present)
        self._last = max((found.highest, counted, *known)) + found.unknown
        for number in sorted(self._damaged)[:-_MAX_DAMAGED]:
            self._damaged.discard(number)
            self._journal.put(number, None)
        self._count()

    def is_damaged(self, number: int) -> bool:
        """Whether there was a job of that number, and all that was noted of it is lost."""
        return number in self._damaged

    def may_be_damaged(self, number: int) -> bool:
        """Whether a damaged line may have been of a job that is not known."""
        return number in self._damaged or self._journal.found.unknown > 0

    def recover(self, job: Job) -> None:
        """Add a job whose entry was damaged, as its own files describe it."""
        self._damaged.discard(job.job)
        self._jobs[job.job] = job
        self._over += job.state.over
        self._put(job)

    def written(self) -> Awaitable[None]:
        """Wait until every change so far survives the daemon; see `Journal.written`."""
        return self._journal.written()

    def _count(self) -> None:
        """Write down the last number that was given, unless an entry tells it."""
        if self._last and self._last not in self._jobs:
            self._journal.put(_COUNTER, {"last": self._last})

    def new(self, node: int, user: str, uid: int, command: str, now: float, **more: Any) -> Job:
        """Add a new job, and return it."""
        number = self._last = self._last + 1
        job = Job(
            number, self._own_id, node, None, user, JobState.STARTING, None, command, uid, now, **more
        )  # fmt: skip
        self._jobs[number] = job
        self._put(job)
        return job

    def change(self, number: int, **values: Any) -> Job:
        """Change a job and return it as it is now; one that is over stays as it ended."""
        old = self._jobs[number]
        if old.state.over:
            return old
        job = self._jobs[number] = replace(old, **values)
        self._put(job)
        if job.state.over:
            self._over += 1
            self._forget_some()
        return job

    def started(self, number: int, node: int, pid: int, cantmove: str, identity: str = "") -> Job:
        """
        Note that a job runs on ``node`` as process ``pid`` there.

        :param identity: of its first process, as its supervisor told; one that is known already stays.
        """
        at_home = pid if node == self._own_id else FIRST_FOREIGN_PID + number
        old = self._jobs[number]
        return self.change(
            number, state=JobState.RUNNING, node=node, pid=old.pid or at_home, pid_there=pid,
            cantmove=cantmove, identity=self._identity(old, node, identity),
        )  # fmt: skip

    def _identity(self, old: Job, node: int, told: str) -> str:
        if old.identity or (old.pid is None and node == self._own_id):
            return old.identity or told
        if old.pid is None or old.pid >= FIRST_FOREIGN_PID:
            return foreign_identity(old.name)  # it began on another node
        return told if told.startswith(f"{old.home}-{old.pid}-") else ""

    def went(self, number: int, node: int, nmigs: int, pid: int | None = None) -> Job:
        """
        Note that a job runs on another ``node`` now, having moved ``nmigs`` times.

        :param pid: of its first process there; None: it is not known yet.
        """
        old = self._jobs[number]
        pid_there = old.pid_there if pid is None and old.node == node else pid
        return self.change(number, state=JobState.RUNNING, node=node, nmigs=nmigs, pid_there=pid_there)

    def came(self, number: int, pid: int, nmigs: int) -> Job:
        """Note that a job runs at home again, as process ``pid``, having moved ``nmigs`` times."""
        old = self._jobs[number]
        former = list(old.former)
        if old.pid is not None and old.pid < FIRST_FOREIGN_PID and old.pid != pid:
            former = [*(each for each in former if each not in (old.pid, pid)), old.pid]
            former = former[:1] + former[1:][-_MAX_FORMER_PIDS:]
        return self.change(
            number, state=JobState.RUNNING, node=self._own_id, nmigs=nmigs, pid=pid, pid_there=pid,
            former=tuple(former),
        )  # fmt: skip

    def drop(self, number: int) -> None:
        """Forget a job that never began."""
        if self._jobs.pop(number, None) is not None:
            self._journal.put(number, None)
            self._count()
            self._changed(number)

    def _put(self, job: Job) -> None:
        self._journal.put(job.job, encode(job))
        self._changed(job.job)

    def _forget_some(self) -> None:
        while self._over > self._keep:
            number = next(number for number, job in self._jobs.items() if job.state.over)
            self._over -= 1
            self._forgotten(self._jobs.pop(number))
            self._journal.put(number, None)
            self._count()

    # -- asking

    def __iter__(self) -> Iterator[Job]:
        return iter(tuple(self._jobs.values()))

    def running(self) -> int:
        """Return how many are not over."""
        return len(self._jobs) - self._over

    def get(self, number: int) -> Job | None:
        """Return a job, None when there is none of that number."""
        return self._jobs.get(number)

    def find(self, number: int, caller: Caller) -> Job:
        """
        Return a job of ``caller``.

        :raises NotFound: there is no job of that number. :raises NotAllowed: it is another user's.
        """
        job = self._jobs.get(number)
        if job is None and number in self._damaged:
            raise NotFound(
                f"the entry of job {number} was damaged on the disk: read the log of gomd for details"
            )
        if job is None:
            raise NotFound(f"there is no job {number} here: `jobs` lists them")
        if not caller.owns(job.uid):
            raise NotAllowed(f"job {number} is not yours: it is {job.user}'s")
        return job

    def of_pid(self, pid: int) -> Job | None:
        """
        Return the running job that has process id ``pid`` at home, or had it before it moved.

        A number that the kernel has given to another process meanwhile is that process's.
        """
        running = [job for job in self._jobs.values() if job.state is JobState.RUNNING]
        for job in running:
            if pid == FIRST_FOREIGN_PID + job.job or (pid == job.pid and job.node == self._own_id):
                return job
        had = [job for job in running if pid == job.pid or pid in job.former]
        if not had or self._exists(pid):
            return None
        return next((job for job in had if pid == job.pid), had[-1])

    def pid_here(self, pid: int) -> int:
        """Return the process id on this node of the job that `of_pid` finds; else ``pid``."""
        job = self.of_pid(pid)
        return pid if job is None or job.node != self._own_id else job.pid_there or pid
