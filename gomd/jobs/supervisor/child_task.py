"""
Work that takes a while, done by a child of the supervisor: freezing its job, bringing one up.

The child is in the job's namespaces, as the supervisor is, with a process id far above the job's. What it
begins and leaves behind becomes a child of the supervisor, which is number 1. Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

from gomd.jobs.checkpoint.process_tree import high_pids
from libgomd.errors import CannotMove

#: Bytes of a result.
_MOST = 1 << 20


class ChildTask:
    """
    Begin ``work`` in a child. When `fileno` is readable to its end, `feed` gives the result.

    :param work: what it returns can be written as JSON; it may raise `CannotMove` and OSError.
    :param limit: seconds, after which the child is killed; ``work`` has to bound what it starts itself.
    :ivar pid: of the child; the supervisor waits for it as for every other.
    """

    def __init__(self, work: Callable[[], Any], limit: float) -> None:
        self._reading, writing = os.pipe()
        self._limit = limit
        self._data = b""
        with high_pids():
            self.pid = os.fork()
            if self.pid == 0:
                try:
                    _be(work, writing, limit)
                finally:
                    os._exit(1)
        os.close(writing)

    def fileno(self) -> int:
        """What to poll: readable when there is something to `feed`."""
        return self._reading

    def feed(self) -> bool:
        """Read what there is. Blocks when there is nothing. :returns: whether that was the end."""
        piece = os.read(self._reading, 65536)
        self._data = (self._data + piece)[:_MOST]
        return not piece

    def result(self) -> Any:
        """
        Return what ``work`` returned, after the end. Closes.

        :raises CannotMove: it raised that, failed, was killed or took too long.
        """
        self.close()
        if not self._data:
            raise CannotMove(f"it took longer than {self._limit:g} s, or was killed")
        failure, value = json.loads(self._data)
        if failure:
            raise CannotMove(value)
        return value

    def wait(self) -> Any:
        """Wait for the end and return the `result`. Blocks, and waits for the child too."""
        while not self.feed():
            pass
        os.waitpid(self.pid, 0)
        return self.result()

    def close(self) -> None:
        """Hear nothing more of it."""
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1


def _be(work: Callable[[], Any], writing: int, limit: float) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGALRM, signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        answer = (False, work())
    except CannotMove as error:
        answer = (True, str(error))
    except Exception as error:  # noqa: BLE001 - the edge of the process: the supervisor tells it
        answer = (True, f"{type(error).__name__}: {error}")
    with open(writing, "wb") as stream:
        stream.write(json.dumps(answer).encode())
    os._exit(0)
