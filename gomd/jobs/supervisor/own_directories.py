"""
Gives a job that begins its own temporary directories, with what its command line names of the machine's.

Standard library only: this runs in the supervisor.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from gomd.jobs.supervisor.child_task import ChildTask
from gomd.jobs.supervisor.named_paths import NamedPath, named_paths
from gomd.jobs.supervisor.private_dirs import PrivateDirectories
from gomd.jobs.supervisor.spawn import START_TIMEOUT, CannotStart, SupervisorEnvironment
from libgomd.wire.job_messages import JobSpec

#: Seconds that the child may outlive its time: it is killed before that, unless nothing can kill it.
_GRACE: Final = 5.0


def own_directories(spec: JobSpec, environment: SupervisorEnvironment, job: int) -> PrivateDirectories | None:
    """
    Return the directories of a job, mounted; None for one that shares those of the machine. Blocks.

    :param job: an open directory: the job's own. :raises CannotStart: there can be none.
    """
    if not (spec.private_tmp and environment.namespace):
        return None
    with _refusing(spec.where):
        return PrivateDirectories(job, spec.uid, spec.gid, spec.groups)


def show_named(private: PrivateDirectories, spec: JobSpec) -> None:
    """
    Let a job see there what its command line names of the machine's. Blocks, for `START_TIMEOUT` at the most.

    :raises CannotStart: it cannot be shown, or does not answer.
    """
    if named := named_paths(spec.argv, spec.cwd, spec.env):
        with _refusing(spec.where):
            _reach(private, named, spec.where)
            private.show(named)


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotStart(
            500,
            f"it can have no temporary directories of its own on {where}: {error.strerror}: "
            "gom run --shared-tmp does without",
        ) from error


def _reach(private: PrivateDirectories, named: Sequence[NamedPath], where: str) -> None:
    """
    Look up the paths that are to be shown, in a child, which a file system may keep for ever.

    :raises CannotStart: they do not answer.
    """
    task = ChildTask(lambda: private.reach(named), START_TIMEOUT + _GRACE)
    try:
        poll, end = select.poll(), time.monotonic() + START_TIMEOUT
        poll.register(task.fileno(), select.POLLIN)
        while poll.poll(max(0.0, end - time.monotonic()) * 1000):
            if task.feed():
                with suppress(ChildProcessError):  # the kernel reaps it where nobody asks for its status
                    os.waitpid(task.pid, 0)
                return
        os.kill(task.pid, signal.SIGKILL)  # not waited for: the file system may keep it
    finally:
        task.close()
    raise CannotStart(
        504, f"the directory or the program did not answer on {where} within {START_TIMEOUT:g} s"
    )
