"""A job, as `jobs` shows it."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from libgomd.wire.job_name import JobName


class JobState(str, enum.Enum):
    """The stages in the life of a job."""

    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    LOST = "lost"

    @property
    def over(self) -> bool:
        """Whether no process of the job runs any more."""
        return self in (JobState.DONE, JobState.LOST)


@dataclass(frozen=True, slots=True)
class Job:
    """
    A command that gomd runs for a caller.

    :ivar job: its number at its home. :ivar home: id of the node where it was requested.
    :ivar node: id of the node that it runs on, or ran on last.
    :ivar pid: its process id at home; None before it runs. A job that was started on another node
        has no process at home: its number there is higher than any that a kernel assigns.
    :ivar pid_there: its process id on the node that it runs on.
    :ivar exit: its exit status, 128 + the number of the signal if one ended it; None while it runs. 143 when
        it is lost.
    :ivar reason: a sentence about how it ended; mostly empty.
    :ivar nmigs: how many times it has moved. :ivar lock: whether balancing must not move it.
    :ivar cantmove: why it cannot be moved; empty when it can.
    :ivar detached: whether no caller waits for it; its output is kept at home.
    :ivar former: the process ids that it had at home before it left and came back, oldest first.
    :ivar memory_max: bytes of memory that it may use; None for no limit.
    :ivar identity: that of its first process, see `Process.identity`; empty while it is not known.
    """

    JSON: ClassVar[tuple[str, ...]] = (
        "job", "home", "node", "pid", "user", "state", "exit", "command",
        "uid", "started", "ended", "reason", "nmigs", "lock", "detached", "pid_there", "cantmove", "former",
        "memory_max", "identity",
    )  # fmt: skip

    job: int
    home: int
    node: int
    pid: int | None
    user: str
    state: JobState
    exit: int | None
    command: str
    uid: int
    started: float
    ended: float | None = None
    reason: str = ""
    nmigs: int = 0
    lock: bool = False
    detached: bool = False
    pid_there: int | None = None
    cantmove: str = ""
    former: Sequence[int] = ()
    memory_max: int | None = None
    identity: str = ""

    @property
    def name(self) -> str:
        """``HOME-JOB``, its name in the whole cluster."""
        return str(JobName(self.home, self.job))
