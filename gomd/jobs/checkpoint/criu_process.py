"""
Runs criu as a child of this process, until it ends, takes too long, or nobody wants it any more. Blocks.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from libgomd.errors import CannotMove, NotPossible

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.page_relay import PageRelay

#: Bytes that are read of what criu prints, and of its log.
MAX_LOG_BYTES: Final = 256 * 1024
#: Seconds that criu has to put a job right when it took too long and the way of its memory was closed.
_GIVE_UP_TIMEOUT: Final = 5.0
#: Exit status of a process that was refused before it became criu, which has none above 127.
_NOT_PREPARED: Final = 213
_ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"}


class CallerGone(Exception):
    """The daemon that wanted a copy is gone, so nobody will resume it."""


class Running(NamedTuple):
    """
    A criu that was started: `finish` has to follow.

    :ivar output: the pipe of what it prints.
    """

    process: subprocess.Popen[bytes]
    output: int


def run(
    argv: Sequence[str],
    limit: float,
    descriptors: Sequence[int] = (),
    more: Mapping[str, str] = {},
    before: Callable[[], None] | None = None,
    caller: int = -1,
    terminal: int = -1,
    relay: PageRelay | None = None,
) -> tuple[int, str]:
    """
    Run criu; return its exit status and what it printed, at most `MAX_LOG_BYTES` bytes.

    Its children may outlive it with the pipe open, so criu is waited for, and not the end of the pipe.

    :param limit: seconds. :param descriptors: inherited by criu. :param more: variables of its environment.
    :param before, caller, terminal: see `gomd.jobs.checkpoint.criu.Criu.restore`.
    :param relay: what passes on the job's memory meanwhile.
    :raises NotPossible: there is no such program.
    :raises CannotMove: it took too long and was killed, or ``before`` refused.
    :raises CallerGone: see `gomd.jobs.checkpoint.criu.Criu.restore`.
    """
    running = start(argv, descriptors, more, before, stdin_of(terminal), relay)
    code, text = finish(running, limit, caller, relay)
    if before is not None and code == _NOT_PREPARED:
        raise CannotMove(text)
    return code, text


def stdin_of(terminal: int) -> int:
    """Return the standard input of criu for a job with a terminal, or with none, -1."""
    return terminal if terminal >= 0 else subprocess.DEVNULL


def start(
    argv: Sequence[str],
    descriptors: Sequence[int],
    more: Mapping[str, str],
    before: Callable[[], None] | None,
    stdin: int,
    relay: PageRelay | None,
) -> Running:
    """
    Start criu. The parameters are those of `run`.

    :param stdin: its standard input. :raises NotPossible: there is no such program.
    """
    passed = [*descriptors, *([] if relay is None else [relay.theirs.fileno()])]
    output, write = os.pipe()
    os.set_blocking(output, False)
    os.set_blocking(write, False)  # a criu that prints too much loses some of it, and never waits
    try:
        process = subprocess.Popen(  # noqa: S603 - no shell, and argv is ours
            argv, stdin=stdin, stdout=write, stderr=write,
            pass_fds=passed, env={**_ENVIRONMENT, **more}, cwd="/",
            preexec_fn=None if before is None else _prepared(before),
        )  # fmt: skip
    except OSError as error:
        os.close(output)
        raise NotPossible(
            f"{argv[0]} cannot be started ({error.strerror}): install criu, or see [jobs] criu"
        ) from error
    finally:
        os.close(write)
    if relay is not None:
        relay.theirs.close()
    return Running(process, output)


def finish(running: Running, limit: float, caller: int, relay: PageRelay | None) -> tuple[int, str]:
    """Wait for the end of criu, as `run` does. Blocks."""
    process, output = running
    try:
        try:
            code = _end_of(process, limit, caller, relay)
        except subprocess.TimeoutExpired:
            _give_up(process, relay)
            raise CannotMove(f"criu took longer than {limit:g} s") from None
        try:
            text = os.read(output, MAX_LOG_BYTES).decode("utf-8", "replace")
        except BlockingIOError:
            text = ""
        return code, text
    finally:
        os.close(output)


def _give_up(process: subprocess.Popen[bytes], relay: PageRelay | None) -> None:
    """End criu. Without a way for the memory a dump fails, and criu lets the job go on as it was."""
    if relay is not None:
        relay.close()
        try:
            _end_of(process, _GIVE_UP_TIMEOUT)
        except subprocess.TimeoutExpired:
            pass
        else:
            return
    process.kill()
    process.wait()


def _prepared(before: Callable[[], None]) -> Callable[[], None]:
    """Return the function that a new process calls before it becomes criu; it may exit `_NOT_PREPARED`."""

    def prepare() -> None:
        try:
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            before()
        except CannotMove as error:
            text = str(error)
        except Exception as error:  # noqa: BLE001 - the edge of the process: its parent reports it
            text = f"{type(error).__name__}: {error}"
        else:
            return
        os.write(1, text.encode("utf-8", "replace")[: select.PIPE_BUF])
        os._exit(_NOT_PREPARED)

    return prepare


def _end_of(
    process: subprocess.Popen[bytes], limit: float, caller: int = -1, relay: PageRelay | None = None
) -> int:
    """
    Return the exit status of ``process``. Blocks, without looking again and again.

    `Popen.wait` sleeps between looks, by a clock that a program may find set (libfaketime breaks it).

    :param relay: what passes on its memory meanwhile.
    :raises TimeoutExpired: it goes on after ``limit`` seconds.
    :raises CallerGone: the other end of ``caller`` was closed.
    """
    handle, end = os.pidfd_open(process.pid), time.monotonic() + limit
    try:
        while True:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            if caller >= 0:
                poll.register(caller, select.POLLRDHUP)
            if relay is not None:
                relay.register(poll)
            ready = dict(poll.poll(max(0.0, end - time.monotonic()) * 1000))
            if caller in ready:
                raise CallerGone
            if handle in ready:
                return process.wait()
            if not ready:
                raise subprocess.TimeoutExpired(process.args, limit)
            if relay is not None:
                relay.handle(ready)
    finally:
        os.close(handle)
