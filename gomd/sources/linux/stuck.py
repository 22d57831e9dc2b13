"""Tracks processes whose files block their readers, and limits the threads that each user's may occupy."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Container
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

from twisted.logger import Logger

from gomd.sources.linux.walk import Worker
from libgomd.errors import TimedOut

#: Maximum number of processes that may each occupy a thread: of one user, of root, of all users.
MAX_STUCK_PER_USER: Final = 4
MAX_STUCK_OF_ROOT: Final = 32
MAX_STUCK: Final = 64


T = TypeVar("T")
#: The error about such a process; {0} is its pid.
HANGS: Final = (
    "process {0} hangs: the kernel does not answer what is read about it; /proc/{0}/status can be read"
)


class _Stuck(NamedTuple):
    """
    A process whose files block.

    :ivar uid: user id of its owner, -1 if unknown.
    :ivar workers: the threads that it blocks. :ivar mute: whether its ``status`` blocks too.
    """

    uid: int
    workers: tuple[Worker[Any], ...]
    mute: bool = False


class StuckProcesses:
    """
    The processes that block threads. Any thread may use it.

    A user can create such processes. When too many of a user's processes block, all processes of that user
    are spared: none of them is read before some of the threads have returned.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self) -> None:
        #: By pid. Returning threads remove themselves, under the lock `_changing`.
        self._stuck: dict[int, _Stuck] = {}
        self._changing = threading.Lock()
        self._reported: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._stuck or self._reported)

    def __contains__(self, pid: int) -> bool:
        return pid in self._stuck

    def note(self, pid: int, worker: Worker[Any], uid: int, command: str) -> None:
        """Note that ``worker`` hangs at process ``pid``, and warn of it once."""
        with self._changing:
            old = self._stuck.get(pid)
            if old is None:
                old = _Stuck(uid, ())
            self._stuck[pid] = _Stuck(old.uid, (*old.workers, worker), old.mute or worker.outside)
        if worker.over:  # it returned just now
            self.came_back(worker)
        elif pid not in self._reported:
            self._reported.add(pid)
            self._log.warn(
                "process {pid} ({command}) hangs: the kernel does not answer what is read in /proc/{pid}; "
                "it is shown as it was last known until that ends",
                pid=pid, command=command,
            )  # fmt: skip

    def came_back(self, worker: Worker[Any]) -> None:
        """Remove an abandoned thread that the kernel has released."""
        with self._changing:
            for pid, stuck in tuple(self._stuck.items()):
                workers = tuple(each for each in stuck.workers if each is not worker)
                if not workers:
                    del self._stuck[pid]
                else:
                    self._stuck[pid] = stuck._replace(workers=workers)

    def owned_by(self, pid: int, uid: int) -> None:
        """Note the owner of a process."""
        with self._changing:
            if (stuck := self._stuck.get(pid)) is not None:
                self._stuck[pid] = stuck._replace(uid=uid)

    def is_mute(self, pid: int) -> bool:
        """Return whether the ``status`` of a process blocks too."""
        stuck = self._stuck.get(pid)
        return stuck is not None and stuck.mute

    def settle(self, seen: Container[int]) -> None:
        """Log which of the processes that a scan has ``seen`` answer again."""
        for pid in [pid for pid in self._reported if pid not in self._stuck]:
            self._reported.discard(pid)
            if pid in seen:
                self._log.info("process {pid} answers again", pid=pid)

    def read(self, pid: int, uid: int, read: Callable[[], T], timeout: float) -> T:
        """
        Call ``read``, which reads files of process ``pid``, and return its result or raise its error. Blocks.

        :param uid: owner of the process.
        :param timeout: seconds, up to nearly twice that, after which it counts as hung.
        :raises TimedOut: it hangs, is known to hang, or too many processes of its owner do.
        """
        if pid in self._stuck or self.spared()(uid):
            raise TimedOut(HANGS.format(pid))
        found: list[T] = []

        def visit(worker: Worker[Any]) -> None:
            worker.at = pid
            found.append(read())
            worker.at = None

        worker: Worker[Any] = Worker((pid,), visit, self.came_back)
        worker.start()
        if worker.wait(timeout) is not None:
            self.note(pid, worker, uid, "asked for")
            raise TimedOut(HANGS.format(pid))
        if worker.error is not None:
            raise worker.error
        return found[0]

    def spared(self) -> Callable[[int], bool]:
        """Return a function that tells whether the processes of a user id must not be read any more."""
        with self._changing:
            occupied = Counter(stuck.uid for stuck in self._stuck.values())
        if sum(occupied.values()) >= MAX_STUCK:
            return lambda _uid: True
        users = {
            uid
            for uid, count in occupied.items()
            if count >= (MAX_STUCK_OF_ROOT if uid == 0 else MAX_STUCK_PER_USER)
        }
        return users.__contains__
