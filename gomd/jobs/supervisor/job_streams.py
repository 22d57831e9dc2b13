"""Makes the pipes or the terminal of a job that begins, or goes on, on this node. Standard library only."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from gomd.jobs.supervisor import pipes
from gomd.jobs.supervisor.job_terminal import JobTerminal
from gomd.jobs.supervisor.pipes import Streams
from libgomd.wire.job_messages import SpawnSpec


class JobStreams(NamedTuple):
    """
    Both ends of a job's streams.

    :ivar job: the ends that the job gets. :ivar ours: those of the supervisor.
    :ivar terminal: the job's terminal if it has one that can move, else None.
    """

    job: Streams
    ours: Streams
    terminal: JobTerminal | None = None

    def close_job_ends(self) -> None:
        """Close the ends that the job has got, but for that of a terminal which is still needed."""
        for descriptor in set(self.job):
            if self.terminal is None or descriptor != self.terminal.slave:
                os.close(descriptor)


def make_streams(spec: SpawnSpec, terminals: bool) -> JobStreams:
    """
    Make the streams of a job.

    :param terminals: whether this process can mount a /dev/pts for a terminal that can move.
    :raises OSError: the kernel has no more of them.
    """
    if not spec.tty:
        return JobStreams(*pipes.make_pipes(spec.detach, spec.merge))
    if terminals:
        terminal = JobTerminal(spec.uid)
        ours = (os.dup(terminal.master), terminal.master, -1)
        made = JobStreams((terminal.slave,) * 3, ours, terminal)
    else:
        made = JobStreams(*pipes.make_terminal(spec.uid))
        pipes.hold_terminal(made.job[0])
    with suppress(OSError):
        pipes.set_size(made.ours[1], *spec.size)
    return made
