"""
Visits processes on a thread that may hang, so that the scan can continue after the process at which it hangs.

Theory of operation. A read in /proc can block in the kernel for ever: while an exec waits for a file on a
dead FUSE or NFS mount, every reader of /proc/PID/stat waits as well. A thread that blocks in the kernel
cannot be interrupted. Therefore one thread visits the processes and notes at which one it is, while the
thread that waits for it checks from time to time whether it makes progress. If it does not, it is abandoned:
its results so far are used, and a new thread continues after that process. An abandoned thread ends when the
kernel releases it, and reports that. A thread that does not hang waits for the next scan (`LastingWorker`):
starting one takes as long as reading fifty processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

V = TypeVar("V")


class Worker(Thread, Generic[V]):
    """
    One thread that visits some processes in order, once. Its name is "hung scan" after it was abandoned.

    :param visit: called with this worker. For each of `pids` it sets `at`, returns if `left` is set, and
        otherwise puts what is new about it into `found`, or its pid into `gone` if it cannot be read. At the
        end it sets `at` to None.
    :param returned: called on this thread when it ends after it was abandoned.
    :ivar at: the process being visited, None before the first one and after the last one.
    :ivar left: whether this thread was abandoned.
    :ivar outside: whether it avoids the files of the present process that may block.
    :ivar error: the exception that ended it, None if it visited all processes.
    """

    def __init__(
        self,
        pids: Sequence[int],
        visit: Callable[[Worker[V]], None],
        returned: Callable[[Worker[V]], None] = lambda _worker: None,
    ) -> None:
        super().__init__(name="scan", daemon=True)
        self.pids = pids
        self.at: int | None = None
        self.left = False
        self.outside = False
        self.found: dict[int, V] = {}
        self.gone: list[int] = []
        self.error: Exception | None = None
        self._visit: Callable[[Worker[V]], None] | None = visit
        self._returned = returned
        self._over = Event()

    def is_left(self) -> bool:
        """Return `left`, for use after a call that may have blocked."""
        return self.left

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._over.is_set()

    def run(self) -> None:
        """Visit the processes; see `Thread`."""
        visit, self._visit = self._visit, None  # it may refer to what refers to this thread
        assert visit is not None
        try:
            visit(self)
        except Exception as error:  # noqa: BLE001 - the thread that waits raises it again
            self.error, self.at = error, None
        self._over.set()
        if self.left:
            self._returned(self)

    def wait(self, timeout: float) -> int | None:
        """
        Wait until the thread ends or hangs; if it hangs, abandon it. Blocks.

        :param timeout: seconds without progress, up to nearly twice that, after which it counts as hung.
        :returns: the process at which it hangs, or at which it stopped because it was abandoned just when it
            went on; None if it has visited all of them, or met an error.
        """
        seen: int | None = None
        while not self._over.wait(timeout):
            at = self.at
            if at is not None and at == seen:
                self.left = True
                self.name = "hung scan"
                if self.at == at:
                    return at
                self._over.wait(timeout)  # it has just gone on, and stops at the next process
                return self.at
            seen = at
        return None


class LastingWorker(Worker[V]):
    """A `Worker` that visits other processes when `again` is called, until `end` is."""

    _ended = False

    def start(self) -> None:
        """Begin to visit the processes; see `Thread`."""
        self._go = Lock()
        self._go.acquire()
        super().start()

    def run(self) -> None:
        """Visit the processes, again and again; see `Thread`."""
        while not self._ended:
            super().run()
            if self.left:
                return
            self._go.acquire()

    def again(self, pids: Sequence[int], visit: Callable[[Worker[V]], None]) -> None:
        """Visit ``pids``, after the last visit was over and was not abandoned."""
        self.pids, self._visit = pids, visit
        self.at, self.outside, self.error = None, False, None
        self.found, self.gone = {}, []
        self._over.clear()
        self._go.release()

    def end(self) -> None:
        """End the thread when its visit, if there is one, is over. Does not wait for that."""
        self._ended = True
        self._go.release()
