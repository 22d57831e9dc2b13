"""The commands `gom run` and `gom attach`: they connect the streams of a job and exit with its status."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from gom.escapes import DEFAULT_ESCAPE, parse_escape
from gom.foreground import Foreground
from gom.streams import Lost, Streams
from gom.terminal import Terminal
from libgomd.endpoints import Endpoint
from libgomd.errors import (
    ConnectionLost,
    GomdError,
    MalformedRequest,
    NodeError,
    NotFound,
    NotPossible,
    RequestError,
)
from libgomd.jobspec import DEFAULT_SIZE, JobSpec, job_spec
from libgomd.linesocket import LineSocket, dial
from libgomd.wire import frames
from libgomd.wire.lines import Request

RUN_USAGE = """\
usage: gom run [-n NODE | -b | -j 1-4,7] [-l | -L] [-t | -T] [-e CHAR] [--no-input] [--detach]
               [--mem SIZE] [--mem-max SIZE] [--carry PATH ...]
               [--shared-tmp] COMMAND [ARG ...]

  -n NODE      on that node, by id or name
  -b           on the best node (the default)
  -j 1-4,7     on the best of these nodes, by id
  -l, -L       -l: lock it, so that balancing leaves it where it is; -L: do not lock it
  -t, -T       -t: give it a terminal of its own; -T: give it none. By default it gets one if gom has one
               and is in its foreground.
  -e CHAR      escape character of a job with a terminal, ^X for a control character; default ~. At the
               start of a line ~. ends the job and leaves, ~^Z suspends gom, ~? tells more; none: no escapes
  --no-input   read nothing: the command's input is empty, as with ssh's -n. For loops such as
               `while read x; do gom run --no-input ...; done < list`, whose input gom would read
  --detach     print the number of the job and return; `gom attach JOB` shows its output later
  --mem SIZE   memory it will need, such as 500M: only a node with that much free memory is chosen; with -n
               it is refused when that node has less
  --mem-max SIZE
               limit of its memory, swap included: the kernel kills a process of a job that exceeds it
  --shared-tmp let it see the /tmp, /var/tmp and /dev/shm of its node. By default it has its own, which move
               with it and are removed with it; what its command line names there it sees anyway.
  --carry PATH
               a file or directory that travels with the job wherever it runs, and comes home at its end; may
               be given more than once. Until then the job works on a copy. A file that was changed here
               meanwhile is kept, and the job's version stands beside it as NAME.gomd-HOME-JOB

Ctrl-C goes to the command; without a terminal of its own a second one within a second asks, and a third
one kills it. Ctrl-Z stops both, and fg or bg continues both.

Exit status: that of the command, 128 + the signal's number if one ended it; 127 no such command,
126 it cannot be executed, 1 the daemon refused, 3 no daemon there.
"""
ATTACH_USAGE = """\
usage: gom attach [-e CHAR] [--no-input] JOB

  -e CHAR     as with `gom run`; ~. leaves a detached job alone
  --no-input  read nothing: the job gets the end of its input
  JOB         the number of a job of yours, as `gom jobs` shows it

Connects to the streams of the job until it ends; the output that was kept is shown first. Ctrl-C leaves a
detached job alone; any other job gets it, as with `gom run`.

Exit status: as for `gom run`.
"""

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
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Wanted(NamedTuple):
    """The parsed command line of `gom run`."""

    argv: tuple[str, ...]
    node: str = ""
    nodes: str = ""
    lock: bool | None = None
    tty: bool | None = None
    detach: bool = False
    memory: int | None = None
    memory_max: int | None = None
    escape: int | None = DEFAULT_ESCAPE
    no_input: bool = False
    shared_tmp: bool = False
    carry: tuple[str, ...] = ()


class WantedAttachment(NamedTuple):
    """The parsed command line of `gom attach`."""

    job: str
    escape: int | None = DEFAULT_ESCAPE
    no_input: bool = False


def parse(words: Sequence[str]) -> Wanted:
    """
    Parse ``words``, the arguments after ``run``.

    :raises MalformedRequest: an option is unknown, lacks its value or conflicts with another one; or the
        command is missing.
    """
    rest = list(words)
    found: dict[str, Any] = {}
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        option, equals, value = option.partition("=") if option.startswith(_LONG) else (option, "", "")
        if option in ("-n", "-j", "-e", "--mem", "--mem-max", "--carry"):
            if not equals:
                if not rest:
                    raise MalformedRequest(f"{option} needs a value")
                value = rest.pop(0)
            if option == "--carry":
                found["carry"] = (*found.get("carry", ()), value)
            elif option in _SIZES:
                found[_SIZES[option]] = size(value, option)
            elif option == "-e":
                found["escape"] = parse_escape(value)
            else:
                found["node" if option == "-n" else "nodes"] = value
        elif option in _FLAGS:
            found.update(_FLAGS[option])
        else:
            raise MalformedRequest(f"there is no option {option} of run")
    if "node" in found and "nodes" in found:
        raise MalformedRequest("-n and -j do not go together")
    if found.get("no_input") and found.get("tty"):
        raise MalformedRequest("--no-input and -t do not go together: a terminal without keys has no end")
    if not rest or not rest[0]:
        raise MalformedRequest("a command is missing: gom run COMMAND ...")
    return Wanted(tuple(rest), **found)


def parse_attachment(words: Sequence[str]) -> WantedAttachment:
    """
    Parse ``words``, the arguments after ``attach``.

    :raises MalformedRequest: an option is unknown or lacks its value, or it is not one job.
    """
    rest = list(words)
    found: dict[str, Any] = {}
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        if option == "-e" and rest:
            found["escape"] = parse_escape(rest.pop(0))
        elif option == "-e":
            raise MalformedRequest("-e needs a value")
        elif option == "--no-input":
            found["no_input"] = True
        else:
            raise MalformedRequest(f"there is no option {option} of attach")
    if len(rest) != 1:
        raise MalformedRequest("attach takes the number of one job: gom attach JOB")
    return WantedAttachment(rest[0], **found)


_LONG = ("--mem", "--carry")
_SIZES = {"--mem": "memory", "--mem-max": "memory_max"}
_FLAGS: dict[str, dict[str, Any]] = {
    "-b": {}, "-l": {"lock": True}, "-L": {"lock": False}, "-t": {"tty": True}, "-T": {"tty": False},
    "--detach": {"detach": True}, "--no-input": {"no_input": True}, "--shared-tmp": {"shared_tmp": True},
}  # fmt: skip


def size(text: str, option: str = "--mem") -> int:
    """Return the bytes in ``text``: ``500M``, ``2g``, ``4096``. :raises MalformedRequest: it is no size."""
    digits = text.rstrip("KMGTkmgtiB").strip()
    unit = text[len(digits) :].upper().removesuffix("B").removesuffix("I")
    if digits.isascii() and digits.isdigit() and len(digits) < 16 and unit in _UNITS:
        return int(digits) * _UNITS[unit]
    raise MalformedRequest(f"{option} takes a size such as 500M or 2G, not {text[:40]}")


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
            line.ask(request, ANSWER_TIMEOUT)
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
