"""Which processes block whoever reads their files, and how many threads each of them and its user holds."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Container
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

from twisted.logger import Logger

from gomd.sources.linux.walk import Worker
from libgomd.errors import TimedOut

#: Processes that may each hold a thread: of one user, of root, of all.
MOST_OF_ONE: Final = 4
MOST_OF_ROOT: Final = 32
MOST: Final = 64


T = TypeVar("T")
#: What is said of such a process, with its id in the place of {0}.
HANGS: Final = (
    "process {0} hangs: the kernel does not answer what is read about it; /proc/{0}/status can be read"
)


class _Stuck(NamedTuple):
    """
    A process whose files block.

    :ivar uid: whose it is, -1 while that is not known.
    :ivar workers: the threads that it holds. :ivar mute: its ``status`` blocks too.
    """

    uid: int
    workers: tuple[Worker[Any], ...]
    mute: bool = False


class StuckProcesses:
    """
    The processes that hold a thread each. Its methods are called on any thread.

    A user of whom many hang, which he can bring about, has all his processes spared: none of them is read any
    more until some of his threads are back.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self) -> None:
        #: By process id. The threads that come back take from it, with `_changing`.
        self._stuck: dict[int, _Stuck] = {}
        self._changing = threading.Lock()
        self._said: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._stuck or self._said)

    def __contains__(self, pid: int) -> bool:
        return pid in self._stuck

    def note(self, pid: int, worker: Worker[Any], uid: int, command: str) -> None:
        """``worker`` hangs at process ``pid``. Said once."""
        with self._changing:
            old = self._stuck.get(pid)
            if old is None:
                old = _Stuck(uid, ())
            self._stuck[pid] = _Stuck(old.uid, (*old.workers, worker), old.mute or worker.outside)
        if worker.over:  # at this very moment
            self.came_back(worker)
        elif pid not in self._said:
            self._said.add(pid)
            self._log.warn(
                "process {pid} ({command}) hangs: the kernel does not answer what is read in /proc/{pid}; "
                "it is shown as it was last known until that ends",
                pid=pid, command=command,
            )  # fmt: skip

    def came_back(self, worker: Worker[Any]) -> None:
        """The kernel has let go a thread that was left."""
        with self._changing:
            for pid, stuck in tuple(self._stuck.items()):
                workers = tuple(each for each in stuck.workers if each is not worker)
                if not workers:
                    del self._stuck[pid]
                else:
                    self._stuck[pid] = stuck._replace(workers=workers)

    def owned_by(self, pid: int, uid: int) -> None:
        """Take note whose a process is."""
        with self._changing:
            if (stuck := self._stuck.get(pid)) is not None:
                self._stuck[pid] = stuck._replace(uid=uid)

    def is_mute(self, pid: int) -> bool:
        """Whether its ``status`` blocks too."""
        stuck = self._stuck.get(pid)
        return stuck is not None and stuck.mute

    def settle(self, seen: Container[int]) -> None:
        """Say which processes answer again, of those that a scan has ``seen``."""
        for pid in [pid for pid in self._said if pid not in self._stuck]:
            self._said.discard(pid)
            if pid in seen:
                self._log.info("process {pid} answers again", pid=pid)

    def read(self, pid: int, uid: int, read: Callable[[], T], patience: float) -> T:
        """
        Return what ``read`` returns, which reads files of process ``pid``, and raise what it raises. Blocks.

        :param uid: whose it is. :param patience: seconds in which it moves on, or nearly twice that.
        :raises TimedOut: it hangs, or is known to, or too many of that user's do.
        """
        if pid in self._stuck or self.spared()(uid):
            raise TimedOut(HANGS.format(pid))
        found: list[T] = []

        def visit(worker: Worker[Any]) -> None:
            worker.at = pid
            found.append(read())

        worker: Worker[Any] = Worker((pid,), visit, self.came_back)
        worker.start()
        if worker.wait(patience) is not None:
            self.note(pid, worker, uid, "asked for")
            raise TimedOut(HANGS.format(pid))
        if worker.error is not None:
            raise worker.error
        return found[0]

    def spared(self) -> Callable[[int], bool]:
        """Return what tells whether a user's processes hold so many threads that no more are risked."""
        with self._changing:
            held = Counter(stuck.uid for stuck in self._stuck.values())
        if sum(held.values()) >= MOST:
            return lambda _uid: True
        users = {uid for uid, count in held.items() if count >= (MOST_OF_ROOT if uid == 0 else MOST_OF_ONE)}
        return users.__contains__
