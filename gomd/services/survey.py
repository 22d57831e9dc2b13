"""
Asks who the users of this node are, and looks at directories, in a child process with a deadline.

A child that hangs is killed. One that cannot be killed, because the kernel waits for a file system, is left
alone, and there is no other child until it has ended.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from zope.interface import implementer

from gomd.interfaces import ISurvey, UserAccount, UserHere
from libgomd.errors import InternalError, NotPossible, TimedOut

COMMAND: Final = (sys.executable, "-I", "-S", str(Path(__file__).with_name("survey_child.py")))
#: Seconds for the child to answer, and for file systems to answer it.
DEADLINE: Final = 6.0
DIRECTORIES_SECONDS: Final = 3.0
#: Seconds in which a child ends that does not hang.
END_SECONDS: Final = 1.0
MAX_ANSWER_BYTES: Final = 4 << 20
_MAX_ID: Final = 1 << 32
_MAX_TEXT: Final = 4096


@implementer(ISurvey)
class Survey:
    """
    See `ISurvey`. Methods block for `DEADLINE` at the most, and a moment for the end of the child.

    :param command: that of the child. :param deadline: seconds for its answer.
    :ivar end_seconds: seconds in which a child ends that does not hang.
    """

    def __init__(
        self, command: Sequence[str] = COMMAND, deadline: float = DEADLINE, end: float = END_SECONDS
    ) -> None:
        self._command = tuple(command)
        self._deadline = deadline
        self.end_seconds = end
        self._hanging: subprocess.Popen[bytes] | None = None

    def users(self, jobs: Sequence[tuple[int, int]], uids: Collection[int]) -> list[UserHere]:
        """See `ISurvey.users`."""
        rows = self._ask({"kind": "users", "jobs": list(jobs), "uids": sorted(uids)})
        with _sensible():
            return [
                UserHere(_text(name), _id(uid), has_jobs is True, tuple(map(_text, paths)))
                for name, uid, has_jobs, paths in rows
            ]

    def accounts(self, names: Sequence[str], everybody: bool) -> list[UserAccount]:
        """See `ISurvey.accounts`."""
        rows = self._ask({"kind": "accounts", "names": list(names), "everybody": everybody})
        with _sensible():
            return [
                UserAccount(_text(name), _id(uid), _id(gid), None if groups is None else _groups(groups))
                for name, uid, gid, groups in rows
            ]

    def directories(self, asked: Sequence[tuple[str, str]]) -> list[str | None]:
        """See `ISurvey.directories`."""
        request = {"kind": "directories", "directories": list(asked), "seconds": DIRECTORIES_SECONDS}
        rows = self._ask(request)
        with _sensible():
            if len(rows) != len(asked):
                raise ValueError
            return [None if each is None else _text(each) for each in rows]

    def _ask(self, request: Mapping[str, Any]) -> list[Any]:
        if self._hanging is not None and not self._ends(self._hanging):
            pid = self._hanging.pid
            raise NotPossible(f"an earlier look at users or directories still hangs: process {pid}")
        self._hanging = None
        try:
            child = subprocess.Popen(  # noqa: S603 - the interpreter that runs gomd, and its own file
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                cwd="/", env={}, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise NotPossible(f"no child can be started: {error.strerror}") from error
        answer = b""
        try:
            answer = self._answer(child, json.dumps(request).encode())
        finally:
            self._end(child, bool(answer))
        with _sensible():
            rows = json.loads(answer)
            if not isinstance(rows, list):
                raise TypeError
            return rows

    def _answer(self, child: subprocess.Popen[bytes], request: bytes) -> bytes:
        assert child.stdin is not None
        assert child.stdout is not None
        end = time.monotonic() + self._deadline
        with suppress(OSError):  # it has ended, which its answer says
            child.stdin.write(request)
            child.stdin.close()
        found = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while not found.endswith(b"\n"):
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise TimedOut(f"no answer about users and directories within {self._deadline:g} s")
                piece = child.stdout.read1(65536)  # type: ignore[attr-defined]
                found += piece
                if not piece or len(found) > MAX_ANSWER_BYTES:
                    break
        return bytes(found)

    def _end(self, child: subprocess.Popen[bytes], has_answered: bool) -> None:
        """Let the child end, or end it; one that waits in the kernel for another one is remembered."""
        for pipe in (child.stdin, child.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        if not has_answered:
            with suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)  # and whatever looks at a directory
        if not self._ends(child):
            self._hanging = child

    def _ends(self, child: subprocess.Popen[bytes]) -> bool:
        """Wait a moment for a process, and return whether it has ended."""
        try:
            child.wait(self.end_seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


@contextmanager
def _sensible() -> Iterator[None]:
    """Make errors of reading the answer errors of the child."""
    try:
        yield
    except (ValueError, TypeError, RecursionError) as error:
        raise InternalError("the child that asks for users and directories has failed") from error


def _groups(pairs: Any) -> tuple[tuple[int, str], ...]:
    return tuple((_id(number), _text(name)) for number, name in pairs)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise TypeError
    return value


def _id(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MAX_ID:
        raise TypeError
    return value
