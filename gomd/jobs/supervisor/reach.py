"""
Looks up paths that a job names in a child with a timeout, because a file system may never answer.

The supervisor must not do that itself: it could neither answer its daemon nor be ended. Standard library
only: this runs in the supervisor.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from gomd.jobs.supervisor.child_task import ChildTask
from gomd.jobs.supervisor.spawn import START_TIMEOUT, CannotStart

#: Seconds beyond its time after which the child ends itself, if nobody has ended it.
_GRACE_SECONDS: Final = 5.0


def reach(look: Callable[[], None], where: str) -> None:
    """
    Run ``look`` in a child, whatever comes of it, so that the same look-up answers afterwards. Blocks.

    :param where: this node, as errors name it. :raises CannotStart: it does not end within `START_TIMEOUT`.
    """
    task = ChildTask(look, START_TIMEOUT + _GRACE_SECONDS)
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
