"""The process ids of jobs at their home: of those that never were a process there, and of those that left."""

from __future__ import annotations

import errno
from typing import Final

from libgomd.wire.job_name import JobName
from libgomd.wire.process_identity import ProcessIdentity

#: Where the numbers begin that stand for the process id of a job without a process at home: above all that
#: a Linux kernel gives (PID_MAX_LIMIT, 4194304).
FIRST_FOREIGN_PID = 5_000_000
#: SIGKILL in a mask of signals.
_SIGKILL: Final = 1 << 8


def foreign_identity(job: str) -> str:
    """Return the identity of the first process of ``job``, ``HOME-JOB``, that began on another node."""
    name = JobName.parse(job)
    return str(ProcessIdentity(name.home, FIRST_FOREIGN_PID + name.number, 0))


def lives(pid: int) -> bool:
    """
    Whether a process ``pid`` here can run. What is left of a job that moved cannot: it is stopped or killed.

    Its status is read, which an exec that hangs does not block: this is called where nothing may.
    """
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            return can_run(file.read(4096))
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ESRCH)


def can_run(status: bytes) -> bool:
    """Whether the process of this /proc/PID/status can run: it has not ended, stopped or been killed."""
    state = status.partition(b"\nState:\t")[2][:1]
    if not state.isalpha() or state in b"TtZX":
        return False
    for name in (b"\nSigPnd:\t", b"\nShdPnd:\t"):
        try:
            if int(status.partition(name)[2].partition(b"\n")[0], 16) & _SIGKILL:
                return False
        except ValueError:  # the kernel does not tell
            continue
    return True
