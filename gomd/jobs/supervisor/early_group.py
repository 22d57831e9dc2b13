"""
The cgroup of a job that is about to come here, which its new supervisor enters beforehand.

The kernel takes about ten milliseconds to put a process into another cgroup, and what the process starts is
in it for nothing. So the supervisor of a copy enters the job's cgroup while the job still runs on the source
node; all that it starts for the restore, and the copy itself, begin there. It leaves the cgroup when the copy
runs. A job with a limit of memory gets another cgroup: the kernel never takes back from this one what the
supervisor has used in it. Standard library only: supervisors use it.
"""

from __future__ import annotations

import os
from contextlib import suppress

from gomd.jobs.supervisor import cgroups
from gomd.jobs.supervisor.job_group import JobGroup, NoLimit
from libgomd.wire.job_orders import AwaitOrder


class EarlyGroup(JobGroup):
    """
    A cgroup in which this process is, until it calls `leave`, with all that it starts.

    :ivar inside: whether it is in it.
    """

    def __init__(self, place: tuple[str, str], name: str, back: str) -> None:
        super().__init__(place, name, None)
        self._back = back
        self.inside = False

    def fork(self) -> tuple[int, bool]:
        """See `JobGroup.fork`; the child of a process that is in it begins there."""
        return (os.fork(), True) if self.inside else super().fork()

    def enter(self) -> None:
        """See `JobGroup.enter`; nothing happens in a process that is in it."""
        if not self.inside:
            super().enter()

    def enter_early(self) -> None:
        """Make it, and put this process into it. Blocks for some milliseconds. :raises NoLimit: no."""
        self.make()
        super().enter()
        self.inside = cgroups.own_directory(self._kind) == self._directory

    def leave(self) -> None:
        """Go back to where this process was before. Blocks for some milliseconds. May be called twice."""
        if self.inside:
            self.inside = False
            with suppress(OSError):  # the daemon's own is gone: this process does no harm here
                cgroups.enter(self._back, self._kind)

    def remove(self) -> None:
        """See `JobGroup.remove`."""
        self.leave()
        super().remove()


def enter_early(order: AwaitOrder) -> EarlyGroup | None:
    """
    Make and enter the cgroup of the job that ``order`` announces; None when that is not possible. Blocks.

    The restore makes one then, and says so if the job cannot do without.
    """
    if order.cgroup is None or not order.cgroup[0]:
        return None
    back = cgroups.own_directory(order.cgroup[1])
    if back is None:
        return None
    group = EarlyGroup(order.cgroup, order.id, back)
    try:
        group.enter_early()
    except NoLimit:
        return None
    if not group.inside:
        group.remove()
        return None
    return group
