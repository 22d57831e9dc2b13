"""
The daemon's verbs for scripts that may wait: standard library only, one method a verb.

::

    from libgomd import blocking

    with blocking.connect() as gomd:
        print(gomd.load(), [process.command for process in gomd.ps()])

The types are those of `libgomd.client`; there every method gives a Deferred of what it returns here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator, Sequence
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from libgomd import calls
from libgomd.blocking_job import BlockingJob
from libgomd.endpoints import Endpoint, default_endpoints, parse_endpoint
from libgomd.errors import ConnectionLost, MalformedReply
from libgomd.jobsession import RECONNECT_LIMIT
from libgomd.jobspec import JobOptions, JobSpec, job_to_run
from libgomd.linesocket import LineSocket, dial
from libgomd.model import Event, Output
from libgomd.node_rounds import NodeAnswer
from libgomd.replies import Call, Reply, Size, Stream, check, is_answer
from libgomd.wire.lines import BLOCK, FRAMES, OK, Request

if TYPE_CHECKING:
    from typing_extensions import Unpack

P = ParamSpec("P")
T = TypeVar("T")

_JSON = Request("format", ("json",))


def connect(endpoint: str | None = None, token: str | None = None, timeout: float = 30.0) -> Client:
    """
    Connect to a daemon. Blocks.

    :param endpoint: ``tcp:HOST:PORT`` or ``unix:PATH``; without it ``$GOMD_ENDPOINT``, else the socket of
        the caller's own daemon, of root's daemon, and the loopback port, the first that answers.
    :param token: who the caller is, over tcp (`gom token add` makes one).
    :param timeout: seconds to wait for the connection and for each answer.
    :raises ConfigError: ``endpoint`` is none. :raises ConnectionLost: no daemon is there.
    :raises UnprovenEndpoint: none but at the loopback port, where a token is not sent by default; the
        client's methods raise it there for all but questions.
    :raises NotAllowed: the token is not in the daemon's file.
    """
    places = (parse_endpoint(endpoint),) if endpoint else default_endpoints(os.environ, os.getuid())
    return Client(_open(places, token, timeout), token)


def _open_frames(endpoint: Endpoint, token: str | None, request: Request, timeout: float) -> LineSocket:
    """Open a connection that carries frames behind the answer to ``request``."""
    line = dial((endpoint,), timeout, request)
    try:
        if token is not None:
            line.ask(calls.auth(token).request, timeout)
        if (status := line.ask(request, timeout)).code != FRAMES:
            raise MalformedReply(f"the answer to {request.verb} is {status.code}, not {FRAMES}")
    except BaseException:
        line.close()
        raise
    return line


def _open(endpoints: tuple[Endpoint, ...], token: str | None, timeout: float) -> LineSocket:
    auth = None if token is None else calls.auth(token).request
    line = dial(endpoints, timeout, auth)
    try:
        if auth is not None:
            line.ask(auth, timeout)
        if line.ask(_JSON, timeout).code != OK:
            raise MalformedReply(f"{line.endpoint} does not answer `format json` as gomd does")
    except BaseException:
        line.close()
        raise
    return line


def _verb(make: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    """Make a method of a function of `libgomd.calls`."""

    @wraps(make)
    def method(client: Client, /, *arguments: P.args, **options: P.kwargs) -> T:
        return client.call(make(*arguments, **options))

    return method


class Client:
    """
    A connection to a daemon; `connect` makes it. For one thread at a time.

    Methods raise the daemon's refusals as `RequestError`, failures of a node as `NodeError`, and
    `ConnectionLost` when the daemon goes away; `TimedOut` from here closes the connection.
    """

    def __init__(self, line: LineSocket, token: str | None = None) -> None:
        self._line = line
        self._token = token
        self._closed = False

    def call(self, call: Call[T]) -> T:
        """Ask ``call`` and wait for its answer."""
        limit = None if call.patient else self._line.timeout
        status = self._line.ask(call.request, limit)
        if not is_answer(status.code):
            self._line.close()
        rows, size = [], Size()
        for row in self._line.rows(limit):
            size.add(row)
            rows.append(row)
        return call.result(Reply(status.code, status.text, tuple(rows)))

    def stream(self, stream: Stream[T]) -> Generator[T, None, None]:
        """
        Yield the answers of ``stream`` as they come, over a connection of its own.

        Closing the generator, or leaving the loop over it, ends it at the daemon too; this client can be
        used meanwhile.
        """
        if self._closed:
            raise ConnectionLost(f"this connection to {self._line.endpoint} is closed")
        line = _open((self._line.endpoint,), self._token, self._line.timeout)
        try:
            status = line.ask(stream.request, line.timeout)
            check(Reply(status.code, status.text), BLOCK, stream.request)
            assembler = stream.start()
            for row in line.rows(None):
                yield from assembler.feed(row)
        finally:
            line.close()

    def watch(
        self, call: Call[T], *, seconds: float | None = None, rounds: int | None = None
    ) -> Generator[T, None, None]:
        """Yield the answer of ``call`` again and again: ``for load in gomd.watch(calls.load()): ...``."""
        return self.stream(calls.watch(call, seconds=seconds, rounds=rounds))

    def watch_nodes(
        self,
        call: Call[T],
        *,
        nodes: calls.NodeKey = "all",
        seconds: float | None = None,
        rounds: int | None = None,
        most: int | None = None,
    ) -> Generator[list[NodeAnswer[T]], None, None]:
        """Ask ``call`` of every node, or of one, again and again: yield rounds of what each said last."""
        return self.stream(calls.watch_nodes(call, nodes=nodes, seconds=seconds, rounds=rounds, most=most))

    def watch_events(self, *, node: calls.NodeKey = "") -> Generator[Event, None, None]:
        """Yield events as they happen."""
        return self.stream(calls.watch_events(node=node))

    def do(self, name: str, *, node: calls.NodeKey = "") -> Generator[Output, None, None]:
        """Run a command of `[commands]`: yield its output line by line, last its exit status."""
        return self.stream(calls.do(name, node=node))

    def run(
        self,
        argv: JobSpec | Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        reconnect: float = RECONNECT_LIMIT,
        **options: Unpack[JobOptions],
    ) -> BlockingJob:
        """
        Run a command here or on another node. Blocks until it has begun; no shell reads it.

        :param argv: the command and its arguments; the command is looked for in PATH of ``env``. Or all of
            the job as one value, which `libgomd.jobspec.job_spec` makes, and then no ``options``.
        :param options: see `libgomd.jobspec.JobOptions`.
        :param stdin: all of its standard input; without it, it is open for `BlockingJob.write`.
        :param timeout: seconds for it to begin, and for what a daemon owes at once; the client's unless said.
        :param reconnect: seconds to go on trying when the daemon goes away under it; 0 for not at all.
        :raises MalformedRequest: no daemon would take that.
        :raises NotFound: there is no such command (``code`` 127), node or directory.
        :raises NotPossible: it cannot be executed (``code`` 126), or no node can take it.
        :raises TimedOut: it has not begun in time. Other errors as for a call.
        """
        spec = job_to_run(argv, stdin, options)
        job = self._streams(Request("run"), spec.frame(), timeout, reconnect)
        if spec.detach:
            job.leave()
        elif stdin is not None:
            job.feed(stdin)
        return job

    def attach(
        self, job: int, *, timeout: float | None = None, reconnect: float = RECONNECT_LIMIT
    ) -> BlockingJob:
        """
        Take up the streams of a job of the caller's: of a detached one from the oldest output that is kept.

        Blocks for a moment. Leaving a detached job lets it go on. Parameters as for `run`.

        :raises NotFound: there is no such job, or nothing of it is kept.
        :raises Conflict: somebody is attached to it.
        """
        return self._streams(Request("attach", (str(job),)), b"", timeout, reconnect)

    def _streams(
        self, request: Request, first: bytes, timeout: float | None, reconnect: float
    ) -> BlockingJob:
        if self._closed:
            raise ConnectionLost(f"this connection to {self._line.endpoint} is closed")
        endpoint, token = self._line.endpoint, self._token
        limit = self._line.timeout if timeout is None else timeout

        def reopen(job: int, seconds: float) -> tuple[socket.socket, bytes]:
            return _open_frames(endpoint, token, Request("attach", (str(job),)), seconds).detach()

        line = _open_frames(endpoint, token, request, limit)
        if first:
            line.send_raw(first, limit)
        job = BlockingJob(line.detach(), reopen, timeout=limit, reconnect=reconnect)
        job.begun(limit)
        return job

    def auth(self, token: str) -> None:
        """Raise the role to that of the token's owner, for this connection and for streams from now on."""
        self.call(calls.auth(token))
        self._token = token

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        self._closed = True
        self._line.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    ask = _verb(calls.ask)
    help = _verb(calls.help)
    history = _verb(calls.history)
    measures = _verb(calls.measures)
    busiest = _verb(calls.busiest)
    version = _verb(calls.version)
    whoami = _verb(calls.whoami)
    nodes = _verb(calls.nodes)
    node_map = _verb(calls.node_map)
    node = _verb(calls.node)
    load = _verb(calls.load)
    speed = _verb(calls.speed)
    cpus = _verb(calls.cpus)
    util = _verb(calls.util)
    mem = _verb(calls.mem)
    status = _verb(calls.status)
    ls = _verb(calls.ls)
    get = _verb(calls.get)
    put = _verb(calls.put)
    ps = _verb(calls.ps)
    where = _verb(calls.where)
    signal = _verb(calls.signal)
    renice = _verb(calls.renice)
    migrate = _verb(calls.migrate)
    lock = _verb(calls.lock)
    unlock = _verb(calls.unlock)
    jobs = _verb(calls.jobs)
    kill = _verb(calls.kill)
    setspeed = _verb(calls.setspeed)
    setyard = _verb(calls.setyard)
    switches = _verb(calls.switches)
    stay = _verb(calls.stay)
    nostay = _verb(calls.nostay)
    lstay = _verb(calls.lstay)
    nolstay = _verb(calls.nolstay)
    block = _verb(calls.block)
    noblock = _verb(calls.noblock)
    quiet = _verb(calls.quiet)
    noquiet = _verb(calls.noquiet)
    bring = _verb(calls.bring)
    expel = _verb(calls.expel)
    events = _verb(calls.events)
    doctor = _verb(calls.doctor)
    stats = _verb(calls.stats)
    checkpoint = _verb(calls.checkpoint)
    shutdown = _verb(calls.shutdown)
