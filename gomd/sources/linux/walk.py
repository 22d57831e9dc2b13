"""
Going through processes on a thread that may hang, and going on behind the process that it hangs at.

Theory of operation. A read in /proc can block in the kernel for ever: while an exec waits for a file of a
dead FUSE or NFS mount to be closed, everybody who reads /proc/PID/stat waits with it. A thread in the kernel
cannot be called back. So one thread goes through the processes and notes at which one it is; another, which
has asked for it, looks now and then whether it moves. When it does not, the thread is left where it is, what
it has found so far is taken, and a new thread goes on behind that process. The one that was left ends when
the kernel lets it go, and says so then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Generic, TypeVar

V = TypeVar("V")


class Worker(Thread, Generic[V]):
    """
    One thread that goes through some processes, in their order.

    :param visit: is given this worker. It goes through `pids`: for each it sets `at`, then returns if `left`
        is set, and else puts what it finds into `found`.
    :param returned: called, on this thread, when it ends after it was left.
    :ivar at: the process it is at, None before the first. :ivar left: nobody waits for it any more.
    :ivar outside: it looks at that without what is known to block.
    :ivar error: what it ended with, None when it has gone through all.
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
        self.error: Exception | None = None
        self._visit = visit
        self._returned = returned
        self._over = Event()

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._over.is_set()

    def run(self) -> None:
        """Go through the processes; see `Thread`."""
        try:
            self._visit(self)
        except Exception as error:  # noqa: BLE001 - raised again where it was asked for
            self.error = error
        self._over.set()
        if self.left:
            self._returned(self)

    def wait(self, patience: float) -> int | None:
        """
        Wait until it is through, or hangs: then it is left alone. Blocks.

        :param patience: seconds; it hangs when it is at the same process for that long, or nearly twice that.
        :returns: the process it hangs at, None when it is through.
        """
        seen: int | None = None
        while not self._over.wait(patience):
            at = self.at
            if at is not None and at == seen:
                self.left = True
                if self._over.is_set():  # at this very moment
                    return None
                return self.at
            seen = at
        return None
