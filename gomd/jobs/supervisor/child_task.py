"""
Runs long work in a child of the supervisor: to freeze its job, to restore one.

The child is in the job's namespaces, as the supervisor is, with a process id far above the job's. Processes
that it leaves behind become children of the supervisor, which is process 1. Standard library only.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from gomd.jobs.checkpoint.process_tree import high_pids
from libgomd.errors import CannotMove

#: Bytes of a result.
_MAX_RESULT_BYTES = 1 << 20


class ChildTask:
    """
    Starts ``work`` in a child. Poll `fileno`, call `feed` until it says that all is read, then `result`.

    :param work: returns a value that JSON can express; may raise `CannotMove` and OSError.
    :param limit: seconds after which the child is killed; ``work`` has to bound what it starts itself.
    :param after: is called in the child when the result is on its way, before it ends.
    :ivar pid: of the child, which the supervisor reaps as every other.
    """

    def __init__(
        self, work: Callable[[], Any], limit: float, after: Callable[[], None] | None = None
    ) -> None:
        self._reading, writing = os.pipe()
        self._limit = limit
        self._began = time.monotonic()
        self._data = b""
        with high_pids():
            self.pid = os.fork()
            if self.pid == 0:
                try:
                    _run(work, writing, limit, after)
                finally:
                    os._exit(1)
        os.close(writing)

    def extend(self, limit: float) -> None:
        """Take note that ``work`` has given itself ``limit`` seconds from now on."""
        self._limit, self._began = limit, time.monotonic()

    def fileno(self) -> int:
        """Return the descriptor to poll for reading before `feed`."""
        return self._reading

    def feed(self) -> bool:
        """Read what has come; blocks when nothing has. :returns: whether that was the end."""
        piece = os.read(self._reading, 65536)
        self._data = (self._data + piece)[:_MAX_RESULT_BYTES]
        return not piece

    def read_for(self, limit: float) -> bool:
        """Read what comes, at most ``limit`` seconds. Blocks. :returns: whether that was all, as `feed`."""
        end = time.monotonic() + limit
        poll = select.poll()
        poll.register(self._reading, select.POLLIN)
        while poll.poll(max(0.0, end - time.monotonic()) * 1000):
            if self.feed():
                return True
        return False

    def result(self) -> Any:
        """
        Return what ``work`` returned, after the end, and close.

        :raises CannotMove: ``work`` raised an error, was killed or took too long.
        """
        self.close()
        try:
            failure, value = json.loads(self._data)
        except ValueError:  # nothing, or only a part
            late = time.monotonic() - self._began >= self._limit
            why = f"it took longer than {self._limit:g} s" if late else "the process at work on it was killed"
            raise CannotMove(why) from None
        if failure:
            raise CannotMove(value)
        return value

    def wait(self) -> Any:
        """Wait for the end, reap the child and return the `result`. Blocks."""
        while not self.feed():
            pass
        os.waitpid(self.pid, 0)
        return self.result()

    def close(self) -> None:
        """Read no more of it."""
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1


def _run(work: Callable[[], Any], writing: int, limit: float, after: Callable[[], None] | None) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGALRM, signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        outcome = (False, work())
    except CannotMove as error:
        outcome = (True, str(error))
    except Exception as error:  # noqa: BLE001 - the edge of the process: the supervisor reports it
        outcome = (True, f"{type(error).__name__}: {error}")
    with open(writing, "wb") as stream:
        stream.write(json.dumps(outcome).encode())
    if after is not None:
        after()
    os._exit(0)
