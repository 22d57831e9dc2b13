"""The commands `gom run` and `gom attach`: they connect the streams of a job and exit with its status."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from typing import Any

from gom.foreground import Foreground
from gom.run_options import Wanted, WantedAttachment
from gom.streams import Lost, Streams
from gom.terminal import Terminal
from libgomd.endpoints import Endpoint
from libgomd.errors import (
    ConnectionLost,
    GomdError,
    MalformedReply,
    NodeError,
    NotFound,
    NotPossible,
    RequestError,
)
from libgomd.jobspec import DEFAULT_SIZE, JobSpec, job_spec
from libgomd.linesocket import LineSocket, dial
from libgomd.wire import frames
from libgomd.wire.lines import FRAMES, Request

#: Exit statuses of a shell for a command that cannot be executed (126) or is not found (127).
SHELL_CODES = (126, 127)
#: Seconds to wait for the greeting of a daemon and for its answers.
ANSWER_TIMEOUT = 5.0
#: Bytes a second that a connection carries at the least.
MIN_BYTES_PER_SECOND = 1 << 19
#: Seconds to wait for a daemon to come back after it has gone away during a job.
RETURN_TIMEOUT = 30.0
#: Seconds between two attempts to reach it.
RETRY_INTERVAL = 0.1


def run(places: Sequence[Endpoint], token: str, wanted: Wanted) -> int:
    """
    Run a command and return its exit status. Blocks.

    :raises ConnectionLost: no daemon can be reached. :raises RequestError: the daemon refused.
    """
    spec = _spec(wanted)
    frame = spec.frame()
    connect = _Connector(places, token)
    line = connect(Request("run"))
    terminal = Terminal(spec.tty)
    streams = None
    try:
        line.send_raw(frame, ANSWER_TIMEOUT + len(frame) / MIN_BYTES_PER_SECOND)
        streams = Streams(
            line.detach(), terminal, reads_input=not wanted.no_input, escape=wanted.escape
        )  # fmt: skip
        if wanted.detach:
            print(streams.begin(), flush=True)
            return 0
        return _until_the_end(streams, terminal, connect)
    except ConnectionLost as error:
        if len(frame) <= frames.MAX_PAYLOAD or (streams is not None and streams.job):
            raise
        raise NotPossible(
            f"the daemon does not take {len(frame)} bytes of arguments and environment: one of an older "
            "version takes 1 MiB; others take 48 MiB of all callers at a time, try again"
        ) from error


def attach(places: Sequence[Endpoint], token: str, wanted: WantedAttachment) -> int:
    """
    Attach to the streams of a job and return its exit status. Blocks. Raises the same errors as `run`.
    """
    connect = _Connector(places, token)
    terminal = Terminal(is_screen=False)
    streams = Streams(
        connect(Request("attach", (wanted.job,))).detach(), terminal,
        detachable=True, reads_input=not wanted.no_input, escape=wanted.escape,
    )  # fmt: skip
    return _until_the_end(streams, terminal, connect)


def _until_the_end(streams: Streams, terminal: Terminal, connect: _Connector) -> int:
    """Relay the streams until the job ends. Resume them if the daemon goes away and comes back."""
    import time

    end = 0.0
    streams.attach()
    with terminal:
        while True:
            try:
                status = streams.serve()
                break
            except Lost:
                if not streams.job:
                    raise ConnectionLost("the daemon went away before the job began") from None
            if streams.attached or not end:
                end = time.monotonic() + RETURN_TIMEOUT
            else:  # the new connection broke before it was attached: the daemon is not back yet
                streams.wait(RETRY_INTERVAL)
            streams.join(_again(connect, streams, end))
            streams.attach()
    streams.end_as_job()
    return status


def _again(connect: _Connector, streams: Streams, end: float) -> Any:
    """
    Reconnect to a job whose daemon went away, and return the connection. Blocks.

    :param end: the deadline, by the monotonic clock. :raises ConnectionLost: the daemon did not come back.
    """
    import time

    why = "it does not come back"
    while time.monotonic() < end:
        try:
            return connect(Request("attach", (str(streams.job),))).detach()
        except NotFound:
            raise
        except (RequestError, NodeError, ConnectionLost) as error:  # or the old one is still attached
            why = str(error)
        streams.wait(RETRY_INTERVAL)
    job = streams.job
    raise ConnectionLost(f"the daemon went away; job {job} may go on: gom attach {job} ({why})")


class _Connector:
    """Connects to a daemon, sends the token, and sends the request that switches the connection to frames."""

    def __init__(self, places: Sequence[Endpoint], token: str) -> None:
        self._places = places
        self._token = token

    def __call__(self, request: Request) -> LineSocket:
        line = dial(self._places, ANSWER_TIMEOUT, request)
        try:
            if self._token:
                line.ask(Request("auth", (self._token,)), ANSWER_TIMEOUT)
            if (status := line.ask(request, ANSWER_TIMEOUT)).code != FRAMES:  # it gets no job of anybody's
                raise MalformedReply(f"the answer to {request.verb} is {status.code}, not {FRAMES}")
        except GomdError:
            line.close()
            raise
        return line


def _spec(wanted: Wanted) -> JobSpec:
    terminal = wanted.tty if wanted.tty is not None else _has_terminal(wanted)
    terminal = terminal and not wanted.detach
    size = DEFAULT_SIZE
    if terminal and os.isatty(1):
        columns, rows = os.get_terminal_size(1)
        size = (rows, columns)
    return job_spec(
        wanted.argv, tty=terminal, size=size, merge=not terminal and _same(1, 2), detach=wanted.detach,
        node=wanted.node, nodes=wanted.nodes, lock=wanted.lock, memory=wanted.memory,
        memory_max=wanted.memory_max, carry=wanted.carry,
        shared_tmp=wanted.shared_tmp,
    )  # fmt: skip


def _has_terminal(wanted: Wanted) -> bool:
    """Return whether we have a terminal that the job can use: both ways, and in its foreground."""
    return not wanted.no_input and os.isatty(0) and os.isatty(1) and Foreground().ours


def _same(one: int, other: int) -> bool:
    """Whether two descriptors are the same pipe or device, so that the order of writes to them matters."""
    try:
        first, second = os.fstat(one), os.fstat(other)
    except OSError:
        return False
    alike = (first.st_dev, first.st_ino, first.st_rdev) == (second.st_dev, second.st_ino, second.st_rdev)
    return alike and not stat.S_ISREG(first.st_mode) and sys.stdout is not None
