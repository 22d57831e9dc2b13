"""
A look at a job in the middle of criu's work, while nobody can let its processes run: yes or no.

A stopped process is not enough for that: its user may continue it at any time. But criu runs a script when
it has dumped a process and still traces it, and when it has brought up a copy that has not got its user's
rights yet; if the script fails, so does criu, and nothing is left. The script asks here.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from libgomd.errors import CannotMove

#: What criu calls the moments: the images are written; all is there of the copy, and none of it has run.
DUMPED: Final = "post-dump"
RESTORED: Final = "post-restore"
_SCRIPT: Final = """#!/bin/sh
[ "$CRTOOLS_SCRIPT_ACTION" = "$GOMD_MOMENT" ] || exit 0
echo "$CRTOOLS_INIT_PID" > "$GOMD_GATE/ask" && read -r answer < "$GOMD_GATE/answer" && [ "$answer" = yes ]
"""
_MOST: Final = 4096


class Gate:
    """
    Waits, in a process of its own, for criu's question.

    :param directory: of the images, for two named pipes. :param moment: `DUMPED` or `RESTORED`.
    :param allows: called in that process with the pid of the job's first process. It may give up rights; it
        raises `CannotMove` to refuse.
    """

    def __init__(self, directory: str, moment: str, allows: Callable[[int], None]) -> None:
        self._directory = directory
        self._moment = moment
        for name in ("ask", "answer"):
            os.mkfifo(os.path.join(directory, name), 0o600)
        self._script = os.memfd_create("gomd-gate")  # a file of the spool may not be executed everywhere
        os.write(self._script, _SCRIPT.encode())
        self._reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(self._reading)
                _wait(directory, allows, writing)
            finally:
                os._exit(1)
        os.close(writing)

    def words(self) -> tuple[str, ...]:
        """What to say to criu."""
        return ("--action-script", f"/proc/{self._pid}/fd/{self._script}")

    def environment(self) -> Mapping[str, str]:
        """What criu has to have in its environment."""
        return {"GOMD_GATE": self._directory, "GOMD_MOMENT": self._moment}

    def close(self) -> str:
        """Wait no more. :returns: why it was refused; empty when it was allowed, or nobody asked."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        told = os.read(self._reading, _MOST)
        os.close(self._reading)
        os.close(self._script)
        for name in ("ask", "answer"):
            with suppress(OSError):
                os.unlink(os.path.join(self._directory, name))
        return told.decode("utf-8", "replace")


def _wait(directory: str, allows: Callable[[int], None], writing: int) -> None:
    with open(os.path.join(directory, "ask"), encoding="ascii") as asking:
        pid = int(asking.read(20))
    answering = os.open(os.path.join(directory, "answer"), os.O_WRONLY)
    try:
        allows(pid)
    except CannotMove as error:
        os.write(writing, (str(error) or "it was refused").encode("utf-8", "replace")[:_MOST])
        os.write(answering, b"no\n")
    except Exception as error:  # noqa: BLE001 - the edge of the process: it is told why
        os.write(writing, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:_MOST])
        os.write(answering, b"no\n")
    else:
        os.write(answering, b"yes\n")
    os._exit(0)
