"""The jobs of a daemon that runs none: one in memory, or one that shows another kernel's /proc."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from zope.interface import implementer

from gomd.interfaces import IJobs, JobHere
from libgomd.errors import NotFound, NotPossible
from libgomd.model import Caller, Counter, Job
from libgomd.wire import frames


@implementer(IJobs)
class NoJobs:
    """There are none, and none can be started."""

    def run(self, caller: Caller, stream: Any, guest: str = "") -> None:
        """See `IJobs.run`."""
        stream.send(frames.failure(NotPossible("this daemon runs no jobs")))
        stream.close()

    def check_carry(self, caller: Caller, name: str, step: str, node: int) -> None:
        """See `IJobs.check_carry`."""
        raise NotFound(f"there is no job {name} here: this daemon runs no jobs")

    def carry(self, caller: Caller, name: str, step: str, stream: Any) -> None:
        """See `IJobs.carry`."""

    async def bring_home(self, job: Job) -> str:
        """See `IJobs.bring_home`."""
        raise NotFound(f"there is no job {job.job} here: this daemon runs no jobs")

    def rows(self, caller: Caller) -> Sequence[Job]:
        """See `IJobs.rows`."""
        return ()

    def find(self, number: int, caller: Caller) -> Job:
        """See `IJobs.find`."""
        raise NotFound(f"there is no job {number} here: this daemon runs no jobs")

    def of_pid(self, pid: int) -> Job | None:
        """See `IJobs.of_pid`."""
        return None

    async def until(self, job: Job, condition: Callable[[], bool], timeout: float) -> bool:
        """See `IJobs.until`."""
        return condition()

    def here(self) -> Sequence[JobHere]:
        """See `IJobs.here`."""
        return ()

    def elsewhere(self) -> Sequence[Job]:
        """See `IJobs.elsewhere`."""
        return ()

    def pid_here(self, pid: int) -> int:
        """See `IJobs.pid_here`."""
        return pid

    def set_lock(self, name: str, lock: bool) -> None:
        """See `IJobs.set_lock`."""
        raise NotFound(f"there is no job {name} here: this daemon runs no jobs")

    def moved(self, name: str, node: int, nmigs: int) -> None:
        """See `IJobs.moved`."""
        raise NotFound(f"there is no job {name} here: this daemon runs no jobs")

    async def written(self) -> None:
        """See `IJobs.written`."""

    def check_attach(self, job: Job) -> None:
        """See `IJobs.check_attach`."""

    def attach(self, job: Job, stream: Any) -> None:
        """See `IJobs.attach`."""

    def check_guest(self, caller: Caller, name: str) -> None:
        """See `IJobs.check_guest`."""
        raise NotFound(f"there is no job {name} here: this daemon runs no jobs")

    def attach_guest(self, caller: Caller, name: str, stream: Any) -> None:
        """See `IJobs.attach_guest`."""

    def signal(self, job: Job, number: int, group: bool) -> None:
        """See `IJobs.signal`."""

    def counters(self) -> Iterable[Counter]:
        """See `IJobs.counters`."""
        return ()
