"""
Checks a job in the middle of criu's work, while none of its processes can run, and lets criu go on or fail.

It is not enough that a process is stopped: its user may continue it at any time. But criu runs a script at
three moments: when it has dumped a process and still traces it; when it has restored a copy that does not
have its user's rights yet; and when the copy has them and is still traced. The script asks the process that
is started here. When it fails at the first two moments criu fails too, and leaves nothing; at the last one
criu would go on, so the copy is killed here.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint import process_tree
from libgomd.errors import CannotMove

#: criu's names of the moments: the images are written; the copy is complete but for its user's rights; it has
#: those too, and none of it has run.
DUMPED: Final = "post-dump"
RESTORED: Final = "post-restore"
RESUMING: Final = "pre-resume"
#: Before criu does anything with the job: a `gomd.jobs.checkpoint.begun_dump` waits then.
_SCRIPT: Final = """#!/bin/sh
if [ "$CRTOOLS_SCRIPT_ACTION" = pre-dump ]; then
    [ -z "$GOMD_WAIT" ] || { read -r answer < "$GOMD_WAIT" && [ "$answer" = yes ]; }
    exit
fi
case " $GOMD_MOMENTS " in *" $CRTOOLS_SCRIPT_ACTION "*) ;; *) exit 0;; esac
echo "$CRTOOLS_SCRIPT_ACTION $CRTOOLS_INIT_PID" > "$GOMD_GATE/ask" || exit 1
read -r answer < "$GOMD_GATE/answer" && [ "$answer" = yes ]
"""
#: What lets a dump go on that waits.
GO: Final = b"yes\n"
_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None, use_errno=True)
#: Bytes of a refusal.
_MAX_REFUSAL_BYTES: Final = 4096


class ActionScript:
    """
    Answers criu's questions, in a process of its own.

    :param directory: of the images, for two named pipes.
    :param allows: the check for each moment at which criu has to ask, once and in this order. It is called in
        a process of its own with the pid of the job's first process. It may give up rights, and raises
        `CannotMove` to refuse.
    :param closes: descriptors that the process of its own is not to keep.
    """

    def __init__(
        self, directory: str, allows: Mapping[str, Callable[[int], None]], closes: Sequence[int] = ()
    ) -> None:
        self._directory = directory
        self._moments = tuple(allows)
        for name in ("ask", "answer"):
            path = os.path.join(directory, name)
            with suppress(FileNotFoundError):
                os.unlink(path)  # of a process that got ready to freeze the job, and was killed
            os.mkfifo(path, 0o600)
        self._script = os.memfd_create("gomd-gate")  # a file of the spool may not be executed everywhere
        os.write(self._script, _SCRIPT.encode())
        self._reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # it has what others see the end of
                for each in (self._reading, *closes):
                    os.close(each)
                _wait(directory, allows, writing)
            finally:
                os._exit(1)
        os.close(writing)

    def words(self) -> tuple[str, ...]:
        """Return the arguments for criu."""
        return ("--action-script", f"/proc/{self._pid}/fd/{self._script}")

    def environment(self, wait: int = -1) -> Mapping[str, str]:
        """
        Return the environment variables that criu needs.

        :param wait: this process's reading end of a pipe, without which criu does not wait: a dump does
            nothing with the job before `GO` has come through it. When it is closed, criu ends.
        """
        told = {"GOMD_GATE": self._directory, "GOMD_MOMENTS": " ".join(self._moments)}
        return {**told, "GOMD_WAIT": f"/proc/{os.getpid()}/fd/{wait}"} if wait >= 0 else told

    def close(self, done: bool = False) -> str:
        """
        Stop answering.

        :param done: criu has succeeded, so it must have asked at every moment.
        :returns: why it was refused; empty when it was allowed, or criu failed before it asked.
        """
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        told = os.read(self._reading, _MAX_REFUSAL_BYTES).decode("utf-8", "replace")
        os.close(self._reading)
        os.close(self._script)
        for name in ("ask", "answer"):
            with suppress(OSError):
                os.unlink(os.path.join(self._directory, name))
        refused = told.lstrip(_YES)
        if not refused and done and told != _YES * len(self._moments):
            return "criu did not ask whether the job may go on"
        return refused


#: Written for each moment that was allowed; anything else that is written is a refusal.
_YES: Final = "\0"


def _wait(directory: str, allows: Mapping[str, Callable[[int], None]], writing: int) -> None:
    last = next(reversed([*allows]), None)
    for expected, check in allows.items():
        with open(os.path.join(directory, "ask"), encoding="ascii") as asking:
            moment, _, pid = asking.read(100).strip().partition(" ")
        answering = os.open(os.path.join(directory, "answer"), os.O_WRONLY)
        if moment != expected:
            refused = f"criu asked about {moment} out of turn"
        elif moment == last and moment != RESUMING:
            refused = _reason(check, int(pid))  # it may give up rights that nothing here needs any more
        else:
            refused = _refusal(check, int(pid))
        if refused:
            if moment == RESUMING:
                for each in reversed(process_tree.descendants(int(pid))):
                    with suppress(ProcessLookupError):
                        os.kill(each, signal.SIGKILL)
            os.write(writing, refused.encode("utf-8", "replace")[: _MAX_REFUSAL_BYTES - len(allows)])
            os.write(answering, b"no\n")
            os._exit(0)
        os.write(writing, _YES.encode())
        os.write(answering, b"yes\n")
        os.close(answering)
    os._exit(0)


def _refusal(check: Callable[[int], None], pid: int) -> str:
    """Let a child ``check``, as that may give up rights; return why it refused, empty when it did not."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            answer = _reason(check, pid) or _YES
            os.write(writing, answer.encode("utf-8", "replace")[:_MAX_REFUSAL_BYTES])
        finally:
            os._exit(0)
    os.close(writing)
    answer = os.read(reading, _MAX_REFUSAL_BYTES).decode("utf-8", "replace")
    os.close(reading)
    os.waitpid(child, 0)
    return "" if answer == _YES else answer or "it could not be checked"


def _reason(check: Callable[[int], None], pid: int) -> str:
    """Let this process ``check``; return why it refused, empty when it did not."""
    try:
        check(pid)
    except CannotMove as error:
        return str(error) or "it was refused"
    except Exception as error:  # noqa: BLE001 - the edge of the process: it is told why
        return f"{type(error).__name__}: {error}"
    return ""
