"""
Sends the memory of a job ahead before the job is frozen: in the child that freezes it then.

The child begins while the job runs, and its supervisor serves the job as ever. When the child has sent what
is worth it, it waits at a `Gate` until the supervisor has stopped doing anything with the job by itself and
says what criu has to know. If the supervisor does not let it pass, the job has never been touched.

Standard library only.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from gomd.jobs.checkpoint import process_tree
from gomd.jobs.checkpoint.unprivileged import has_capability
from gomd.jobs.supervisor import memory_room
from libgomd.errors import CannotMove
from libgomd.wire.job_orders import FreezeOrder

if TYPE_CHECKING:  # ssl and ctypes cost every supervisor memory
    from gomd.jobs.checkpoint.page_relay import PageRelay
    from gomd.jobs.checkpoint.page_tls import OutgoingStream

#: The share of a freeze's seconds that may pass before the job is stopped.
TIME_SHARE: Final = 0.4
#: What may be sent beyond the memory that the job has at the beginning, as a share and in bytes.
_MORE_SHARE, _MORE_BYTES = 4, 16 << 20
_SYS_NICE: Final = 23
_NICER: Final = 10
_OOM: Final = "/proc/self/oom_score_adj"
_MAX_FACTS_BYTES: Final = 1 << 16
_WAITING: Final = b"w"
CALLED_OFF: Final = "it was told to go on"


class FreezeFacts(NamedTuple):
    """
    What criu has to know of a job as it is frozen.

    :ivar names: of what its descriptors share with the supervisor. :ivar uses_tty: it has /dev/tty open.
    """

    names: tuple[str, ...]
    uses_tty: bool


class Gate:
    """Where the child waits until the job may be frozen. Make it before the child."""

    def __init__(self) -> None:
        self._supervisors, self._childs = socket.socketpair()

    # -- in the child

    def enter_child(self) -> None:
        """Keep the child's end only: when the supervisor ends, or closes its own, `wait` hears of it."""
        self._supervisors.close()

    def wait(self) -> tuple[FreezeFacts, FreezeOrder | None]:
        """Wait for `open`; return what that was given. Blocks. :raises CannotMove: it was closed."""
        with suppress(OSError):  # it was opened before this child came here
            self._childs.send(_WAITING, socket.MSG_NOSIGNAL)
        with self._childs.makefile("rb") as stream:
            line = stream.readline(_MAX_FACTS_BYTES)
        self._childs.close()
        if not line.endswith(b"\n"):
            raise CannotMove(CALLED_OFF)
        (names, uses_tty), order = json.loads(line)
        return FreezeFacts(tuple(names), uses_tty), None if order is None else FreezeOrder(*order)

    # -- in the supervisor

    def enter_supervisor(self) -> None:
        """Keep the supervisor's end only."""
        self._childs.close()

    def fileno(self) -> int:
        """Return the descriptor to poll for reading before `is_waiting`."""
        return self._supervisors.fileno()

    def is_waiting(self) -> bool:
        """Return whether the child waits; else it has ended. Blocks when neither is so."""
        try:
            return self._supervisors.recv(1) == _WAITING
        except OSError:
            return False

    def open(self, facts: FreezeFacts, order: FreezeOrder | None = None) -> None:
        """Let the child pass. :param order: for one that has none yet. :raises OSError: it has ended."""
        self._supervisors.sendall(json.dumps([facts, order]).encode() + b"\n")
        self.close()

    def close(self) -> None:
        """Let nobody pass who has not. May be called twice."""
        self._supervisors.close()


class Ahead(NamedTuple):
    """
    What was sent before the freeze.

    :ivar relay: passes on the rest. :ivar sent: bytes; 0 when all goes during the freeze.
    :ivar seconds: that it took.
    """

    relay: PageRelay
    sent: int
    seconds: float


def send_ahead(order: FreezeOrder, pid: int, stream: OutgoingStream) -> Ahead:
    """
    Send the memory of a job that is worth it to the page server. Blocks.

    Memory for a copy of it has to be free here, and space on the target; else all goes during the freeze.

    :param pid: of the job's first process. :param stream: to the page server, whose hand was shaken.
    :raises CannotMove: the target cannot be reached, or something failed. The job has not been touched.
    """
    from gomd.jobs.checkpoint import page_tls, present_pages
    from gomd.jobs.checkpoint.page_relay import PageRelay
    from gomd.jobs.checkpoint.precopy_relay import PrecopyRelay
    from gomd.jobs.checkpoint.precopy_rounds import Precopy

    begun = time.monotonic()

    def pids() -> list[int]:
        return process_tree.descendants(pid, whole=False)

    try:
        size = sum(run.pages for each in pids() for run in present_pages.present(each)) * present_pages.PAGE
        room = min(memory_room.available(), size + size // _MORE_SHARE + _MORE_BYTES)
        if size < order.precopy or room < size:
            room = 0  # the target is told, which takes space now
        with _gently():
            end = begun + order.limit * TIME_SHARE
            ahead = Precopy(stream, pids, room, end, is_room=lambda: memory_room.available() > 0)
            if not ahead.offer() or ahead.copy is None:
                return Ahead(PageRelay(stream), 0, 0.0)
            ahead.run()
        return Ahead(PrecopyRelay(stream, ahead.copy), ahead.sent, time.monotonic() - begun)
    except OSError as error:
        stream.close()
        raise CannotMove(page_tls.reason(error)) from error
    except BaseException:
        stream.close()
        raise


@contextmanager
def _gently() -> Iterator[None]:
    """Let every other process go first meanwhile, and this one be the first to end when memory is short."""
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    can = has_capability(_SYS_NICE)  # else there is no way back
    adjusted = _exchange(_OOM, "1000")
    if can:
        os.setpriority(os.PRIO_PROCESS, 0, min(19, nice + _NICER))
    try:
        yield
    finally:
        if can:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        _exchange(_OOM, adjusted)


def _exchange(path: str, text: str) -> str:
    """Write a file of the kernel's; return what was in it. Empty, or an error: nothing is written."""
    before = ""
    if text:
        with suppress(OSError), open(path, "r+", encoding="ascii") as file:
            before = file.read(100)
            file.seek(0)
            file.write(text)
    return before
