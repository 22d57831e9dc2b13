"""
Jobs over HTTP: starts detached ones, and passes on the output of any.

The daemon is its own caller here: the frames of `run` and `attach` go through memory instead of a connection.
What a job writes is acknowledged when the client has taken it, so a slow client slows the job's output down
and nothing piles up.
"""

from __future__ import annotations

import codecs
import os
import pwd
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from secrets import randbelow
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from gomd.interfaces import IJobs, IThreads
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.web.streams import Message, message
from libgomd.deadlines import within
from libgomd.errors import ConnectionLost, GomdError, MalformedRequest, TimedOut
from libgomd.model import Caller, Job
from libgomd.wire import frames
from libgomd.wire.attachment import Attached, CallerEnd, Data, Exited, Started
from libgomd.wire.frames import Frame, FrameParser
from libgomd.wire.values import dumps

#: Seconds that a job may take to start, wherever.
START_TIMEOUT: Final = 60.0
#: Seconds that looking up the account of the caller may take.
ACCOUNT_TIMEOUT: Final = 5.0
#: Of the description of a job, what the API takes, and its type.
FIELDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "argv": list, "cwd": str, "env": dict, "node": (str, int), "nodes": str, "mem": int, "mem_max": int,
    "lock": bool, "merge": bool, "shared_tmp": bool, "carry": list, "nice": int,
}  # fmt: skip
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


class MemoryConnection:
    """
    The other end of a `FrameStream` in memory.

    :param on_frame: called with each frame that the daemon sends. :param on_closed: called once when the
        daemon closes the connection.
    """

    def __init__(self, on_frame: Callable[[Frame], None], on_closed: Callable[[], None]) -> None:
        self.stream = FrameStream()
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._parser = FrameParser()
        self._closed = False
        self.stream.makeConnection(self)

    def say(self, data: bytes) -> None:
        """Send frames to the daemon."""
        if data and not self._closed:
            self.stream.dataReceived(data)

    def hang_up(self) -> None:
        """Close the connection, as a caller does who leaves."""
        if not self._closed:
            self._closed = True
            self.stream.connectionLost(Failure(ConnectionDone()))

    # -- what a transport does

    def write(self, data: bytes) -> None:
        """Take frames of the daemon."""
        if not self._closed:
            for frame in self._parser.feed(data):
                self._on_frame(frame)

    def writeSequence(self, pieces: Any) -> None:
        """Take frames of the daemon."""
        self.write(b"".join(pieces))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """The acknowledgements limit what comes; there is no other pace."""

    def unregisterProducer(self) -> None:
        """See `registerProducer`."""

    def pauseProducing(self) -> None:
        """Nothing is sent but short frames."""

    def resumeProducing(self) -> None:
        """See `pauseProducing`."""

    def loseConnection(self) -> None:
        """The daemon closes the connection."""
        if not self._closed:
            self._closed = True
            self._on_closed()
            self.stream.connectionLost(Failure(ConnectionDone()))

    def abortConnection(self) -> None:
        """See `loseConnection`."""
        self.loseConnection()


def description_of(body: Mapping[str, Any], account: Mapping[str, str]) -> dict[str, Any]:
    """
    Return what a job description says, as `run` takes it.

    :param account: the environment that a caller has who names none. :raises MalformedRequest: it is wrong.
    """
    for name, value in body.items():
        kind = FIELDS.get(name)
        if kind is None:
            raise MalformedRequest(f"run has no argument {name[:40]}: the body takes {', '.join(FIELDS)}")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise MalformedRequest(f"{name} is of the wrong kind: see /api/v1/openapi.json")
    if "argv" not in body:
        raise MalformedRequest("argv is missing: a list, the command and its arguments")
    found = {name: value for name, value in body.items() if name not in ("mem", "mem_max", "node", "env")}
    found["env"] = {**account, **body.get("env", {})}
    found.setdefault("cwd", account["HOME"])
    found["node"] = str(body.get("node", ""))
    found["memory"], found["memory_max"] = body.get("mem"), body.get("mem_max")
    return {**found, "detach": True}


def environment_of(caller: Caller) -> dict[str, str]:
    """Return the environment of a job of ``caller`` who names none. Blocks: a directory may be asked."""
    try:
        entry = pwd.getpwuid(-1 if caller.uid is None else caller.uid)
    except (KeyError, OverflowError):
        return {"PATH": _PATH, "HOME": "/", "USER": caller.user, "LOGNAME": caller.user}
    home = entry.pw_dir if os.path.isabs(entry.pw_dir) else "/"
    return {
        "PATH": _PATH, "HOME": home, "USER": entry.pw_name, "LOGNAME": entry.pw_name,
        "SHELL": entry.pw_shell or "/bin/sh",
    }  # fmt: skip


async def start_job(
    jobs: IJobs, threads: IThreads, clock: IReactorTime, caller: Caller, body: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Start a detached job of ``caller``, and return what is known of it: ``job``, ``home``, ``node``, ``pid``.

    :raises GomdError: it was refused, or could not be started.
    """
    key = ("account", caller.uid)
    account = await threads.run_apart(ACCOUNT_TIMEOUT, key, "names", environment_of, caller)
    spec = frames.encode_json(frames.SPEC, description_of(body, account))
    begun: Deferred[dict[str, Any]] = Deferred()
    end = CallerEnd()

    def take(frame: Frame) -> None:
        if begun.called:
            return
        try:
            event = end.receive(frame)
        except GomdError as error:
            begun.errback(Failure(error))
            return
        if isinstance(event, Started):
            begun.callback(event._asdict())

    def closed() -> None:
        if not begun.called:
            begun.errback(Failure(ConnectionLost("the job was not started: the daemon stops")))

    connection = MemoryConnection(take, closed)
    try:
        jobs.run(caller, connection.stream)
        connection.say(spec)
        late = TimedOut(f"the job has not started within {START_TIMEOUT:g} s: `jobs` shows whether it does")
        return await within(clock, START_TIMEOUT, begun, late)
    finally:
        connection.hang_up()


async def output_of(jobs: IJobs, job: Job, positions: Mapping[str, int]) -> AsyncGenerator[Message, None]:
    """
    Yield messages with the output of ``job``: ``started``, ``stdout``, ``stderr``, and ``exit`` at the end.

    The text of a message is whole UTF-8 characters; bytes that are none become U+FFFD.

    :param positions: bytes of ``stdout`` and ``stderr`` that the client has already.
    :raises Conflict: somebody else is attached. :raises NotFound: nothing of it is kept.
    """
    jobs.check_attach(job)
    names = {frames.STDOUT: "stdout", frames.STDERR: "stderr"}
    end = CallerEnd({kind: positions.get(name, 0) for kind, name in names.items()}, serial=randbelow(1 << 48))
    texts = {kind: codecs.getincrementaldecoder("utf-8")("replace") for kind in names}
    came: deque[Frame | None] = deque()
    wakeup: list[Deferred[None]] = []

    def wake() -> None:
        if wakeup:
            wakeup.pop().callback(None)

    def take(frame: Frame) -> None:
        came.append(frame)
        wake()

    def closed() -> None:
        came.append(None)
        wake()

    connection = MemoryConnection(take, closed)
    try:
        jobs.attach(job, connection.stream)
        end.attach()
        connection.say(end.data_to_send())
        while True:
            while not came:
                wakeup.append(Deferred())
                await wakeup[-1]
            frame = came.popleft()
            if frame is None:
                raise ConnectionLost("the stream of this job was closed: attach again")
            event = end.receive(frame)
            if isinstance(event, Started):
                yield message(dumps(event._asdict()), "started")
            elif isinstance(event, Attached):
                lost = {names[kind]: count for kind, count in event.lost.items() if count}
                if lost:
                    yield message(dumps(lost), "lost")
            elif isinstance(event, Data):
                text = texts[event.kind].decode(event.data)
                at = end.outputs[event.kind].received
                yield message(dumps({"text": text, "at": at}), names[event.kind])
                end.passed_on(event.kind, len(event.data))
            elif isinstance(event, Exited):
                told = {"exit": event.status, "reason": event.reason, "signal": event.signal}
                yield message(dumps(told), "exit")
                return
            connection.say(end.data_to_send())
    finally:
        connection.hang_up()
