"""The supervisor that is ready before a job needs it, and when it may not be used."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from gomd.jobs.lifecycle.frame_stream import FrameStream
from libgomd.wire import job_messages
from libgomd.wire.frames import Frame, MalformedFrame
from libgomd.wire.job_orders import STALE, OrderOutcome

_MOUNTS: Final = "/proc/self/mountinfo"


class MountTable:
    """
    Notices that something was mounted or unmounted in this process's mount namespace.

    Where the kernel does not tell, every look finds a change.
    """

    def __init__(self) -> None:
        self._file = -1
        self._poll = select.poll()
        with suppress(OSError):
            self._file = os.open(_MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
            self._poll.register(self._file, select.POLLPRI)

    def has_changed(self) -> bool:
        """Return whether it has changed since the last call, or since this object was made."""
        return self._file < 0 or bool(self._poll.poll(0))

    def close(self) -> None:
        """Look no more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class SpareSupervisor:
    """
    Keeps at most one supervisor that waits for its job, in namespaces of its own.

    What a supervisor does before it knows its job takes half the time of a start. It knows nothing of any
    caller and has no more rights than the daemon. Its mount namespace is that of the moment when it was made:
    where mounts are not shared with it, later ones would be missing in the job, and it would keep a file
    system busy that is unmounted. So after any change of the mount table it is not used any more; it notices
    that too, says `STALE`, and is let go.

    :param fork: returns the connection to a new supervisor. :param mounts: of this daemon.
    """

    def __init__(self, fork: Callable[[], FrameStream], mounts: MountTable) -> None:
        self._fork = fork
        self._mounts = mounts
        self._stream: FrameStream | None = None

    def make(self) -> None:
        """Have one made, unless there is one that can be used. :raises GomdError: there can be none."""
        if self._usable():
            return
        self.close()
        self._stream = stream = self._fork()
        stream.listen(self._take, self._lost)

    def take(self) -> FrameStream | None:
        """Return the connection to it, None when there is none that can be used."""
        if not self._usable():
            self.close()
            return None
        stream, self._stream = self._stream, None
        assert stream is not None
        stream.forget()
        return stream

    def _usable(self) -> bool:
        changed = self._mounts.has_changed()  # asked each time: what is made after this knows of the change
        return self._stream is not None and not self._stream.gone and not changed

    def _take(self, frame: Frame) -> None:
        try:
            told = job_messages.decode(OrderOutcome, frame.payload).did
        except MalformedFrame:
            told = ""
        if told == STALE:
            self.close()

    def _lost(self) -> None:
        self._stream = None

    def close(self) -> None:
        """Let it end."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
