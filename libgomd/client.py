"""
The daemon's verbs for Twisted programs: one method a verb, each gives a Deferred.

::

    async def main(reactor):
        gomd = await connect(reactor, "tcp:127.0.0.1:2901")
        print(await gomd.load())
        async with gomd.watch(calls.ps(), seconds=2) as rounds:
            async for processes in rounds:
                print(len(processes))

Requests are sent at once and answered in order, so that many may be under way. Every stream (`watch`,
`watch_events`, `do`) has a connection of its own: a slow consumer holds back nothing else. A lost
connection fails what waits on it with `ConnectionLost`; connecting again is the caller's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
)
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from libgomd import calls
from libgomd.client_run import RunsJobs
from libgomd.connection import LineConnection, WholeReply
from libgomd.endpoints import Endpoint, FoundUnix, Unix, default_endpoints, parse_endpoint
from libgomd.errors import ConnectionLost, GomdError
from libgomd.model import Event, Output
from libgomd.node_rounds import NodeAnswer
from libgomd.proof import check_request, objection
from libgomd.replies import Call, Reply, Stream, is_answer
from libgomd.streams import Answers, closed, in_time, returns_deferred
from libgomd.wire.lines import Request

P = ParamSpec("P")
T = TypeVar("T")

_JSON: Call[None] = Call(Request("format", ("json",)), lambda found: None, order=True)
#: Opens one more connection to the daemon; fires when it is connected.
Dial = Callable[[], "Deferred[LineConnection]"]


@returns_deferred
async def connect(
    reactor: Any, endpoint: str | None = None, *, token: str | None = None, timeout: float = 30.0
) -> Client:
    """
    Connect to a daemon.

    :param reactor: gives connections and time.
    :param endpoint: ``tcp:HOST:PORT`` or ``unix:PATH``; without it where `default_endpoints` says, the
        first that answers.
    :param token: who the caller is, over tcp (`gom token add` makes one).
    :param timeout: seconds to wait for the connection and for each answer.
    :returns: a Deferred that fires with a `Client`; cancelling it gives up and closes.
    :raises ConfigError: ``endpoint`` is none. :raises ConnectionLost: no daemon is there.
    :raises UnprovenEndpoint: none but at the loopback port, where a token is not sent by default; so fail the
        client's Deferreds there for all but questions.
    :raises TimedOut: no answer in time. :raises NotAllowed: the token is not in the daemon's file.
    """
    places = (parse_endpoint(endpoint),) if endpoint else default_endpoints(os.environ, os.getuid())
    failures: list[str] = []
    for place in places:
        if token is not None:
            check_request(calls.auth(token).request, place, failures)
        try:
            dial = _dialler(reactor, place, tuple(failures))
            return await open_client(dial, reactor, token=token, timeout=timeout)
        except (ConnectError, OSError) as error:
            failures.append(f"{place} ({_reason(error)})")
    raise ConnectionLost(f"no daemon at {', '.join(failures)}: is gomd running?")


def _reason(error: Exception) -> str:
    """Return why it could not connect as the system says it; Twisted's own sentence is longer."""
    number = getattr(error, "osError", None)
    return os.strerror(number) if isinstance(number, int) else str(error)


def _dialler(reactor: Any, place: Endpoint, tried: Sequence[str]) -> Dial:
    endpoint: IStreamClientEndpoint
    if isinstance(place, Unix):
        endpoint = UNIXClientEndpoint(reactor, place.path)
    elif isIPAddress(place.host):
        endpoint = TCP4ClientEndpoint(reactor, place.host, place.port)
    elif isIPv6Address(place.host):
        endpoint = TCP6ClientEndpoint(reactor, place.host, place.port)
    else:
        endpoint = HostnameEndpoint(reactor, place.host, place.port)
    factory = Factory.forProtocol(LineConnection)
    factory.noisy = False

    async def dial() -> LineConnection:
        given_up = False
        connecting = endpoint.connect(factory)

        def give_up(_waiting: Deferred[IProtocol]) -> None:
            nonlocal given_up
            given_up = True
            connecting.cancel()

        waiting: Deferred[IProtocol] = Deferred(give_up)
        connecting.chainDeferred(waiting)
        try:
            connection = await waiting
        except (ConnectingCancelledError, DNSLookupError) as error:  # Twisted says either
            if given_up:
                raise CancelledError from error
            raise
        assert isinstance(connection, LineConnection)
        if isinstance(place, FoundUnix):
            handle = connection.transport.getHandle()  # type: ignore[union-attr]
            if why := objection(handle, place.path, os.getuid()):
                connection.abort()
                raise OSError(why)
        connection.check = lambda request: check_request(request, place, tried)
        return connection

    return lambda: Deferred.fromCoroutine(dial())


async def open_client(dial: Dial, clock: IReactorTime, *, token: str | None, timeout: float) -> Client:
    """Make a client of connections that ``dial`` opens. Errors as in `connect`, and those of ``dial``."""
    return Client(await _open(dial, clock, token, timeout), dial, clock, token=token, timeout=timeout)


async def _open(dial: Dial, clock: IReactorTime, token: str | None, timeout: float) -> LineConnection:
    """Open a connection that is greeted, authenticated and speaks json."""
    connection = await in_time(clock, timeout, dial(), "the connection")
    try:
        await in_time(clock, timeout, connection.greeted, "the greeting")
        if token is not None:
            await _send(connection, calls.auth(token), clock, timeout)
        await _send(connection, _JSON, clock, timeout)
    except BaseException:
        connection.abort()
        raise
    return connection


def _send(
    connection: LineConnection, call: Call[T], clock: IReactorTime, timeout: float | None
) -> Deferred[T]:
    receiver = WholeReply()
    try:
        connection.send(call.request, receiver)
    except GomdError as error:
        return fail(error)

    def answered(reply: Reply) -> T:
        try:
            return call.result(reply)
        finally:
            if not is_answer(reply.code):
                connection.abort()

    limit = None if call.patient else timeout
    return in_time(clock, limit, receiver.done, f"the answer to {call.request.verb}").addCallback(answered)


def _verb(make: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], Deferred[T]]:
    """Make a method of a function of `libgomd.calls`."""

    @wraps(make)
    def method(client: Client, /, *arguments: P.args, **options: P.kwargs) -> Deferred[T]:
        return client.call(make(*arguments, **options))

    return method


class Client(RunsJobs):
    """
    A connection to a daemon; `connect` makes it.

    Deferreds fail with the daemon's refusals (`RequestError`), with failures of a node (`NodeError`, and
    `TimedOut` when no answer came in time) and with `ConnectionLost`. Cancelling one drops its answer
    when it comes, as does a time that is up; the requests behind it are answered all the same.

    :ivar lost: a Deferred that fires with None when the connection is gone, for whoever wants to know.
    """

    def __init__(
        self,
        connection: LineConnection,
        dial: Dial,
        clock: IReactorTime,
        *,
        token: str | None,
        timeout: float,
    ) -> None:
        self.lost: Deferred[None] = connection.when_gone()
        self._connection = connection
        self._dial = dial
        self._token = token
        super().__init__(clock, timeout)
        self._streams: set[LineConnection] = set()
        self._closed = False

    def call(self, call: Call[T]) -> Deferred[T]:
        """Ask ``call``."""
        return _send(self._connection, call, self._clock, self._timeout)

    def stream(self, stream: Stream[T]) -> Answers[T]:
        """Ask ``stream``, when the first of its answers is asked for."""
        return Answers(self._open_stream, stream, self._clock, self._timeout)

    async def _open_stream(self) -> LineConnection:
        self._refuse_ifclosed()
        try:
            connection = await _open(self._dial, self._clock, self._token, self._timeout)
        except (ConnectError, OSError) as error:
            raise ConnectionLost(f"the daemon cannot be reached any more ({_reason(error)})") from error
        try:
            self._refuse_ifclosed()
        except ConnectionLost:
            connection.abort()
            raise
        self._streams.add(connection)
        connection.when_gone().addCallback(lambda _: self._streams.discard(connection))
        return connection

    def _refuse_ifclosed(self) -> None:
        if self._closed:
            raise ConnectionLost("this client is closed")

    def watch(self, call: Call[T], *, seconds: float | None = None, rounds: int | None = None) -> Answers[T]:
        """Ask ``call`` again and again: ``async with client.watch(calls.load()) as loads: ...``."""
        return self.stream(calls.watch(call, seconds=seconds, rounds=rounds))

    def watch_nodes(
        self,
        call: Call[T],
        *,
        nodes: calls.NodeKey = "all",
        seconds: float | None = None,
        rounds: int | None = None,
        most: int | None = None,
    ) -> Answers[list[NodeAnswer[T]]]:
        """Ask ``call`` of every node, or of one, again and again: rounds of what each node said last."""
        return self.stream(calls.watch_nodes(call, nodes=nodes, seconds=seconds, rounds=rounds, most=most))

    def watch_events(self, *, node: calls.NodeKey = "") -> Answers[Event]:
        """Ask to be told of events as they happen."""
        return self.stream(calls.watch_events(node=node))

    def do(self, name: str, *, node: calls.NodeKey = "") -> Answers[Output]:
        """Run a command of `[commands]`: its output line by line, last its exit status."""
        return self.stream(calls.do(name, node=node))

    @returns_deferred
    async def auth(self, token: str) -> None:
        """Raise the role to that of the token's owner, for this connection and for streams from now on."""
        await self.call(calls.auth(token))
        self._token = token

    @returns_deferred
    async def close(self) -> None:
        """Close the connection and those of all streams and jobs; fires when they are, a second time too."""
        self._closed = True
        self._close_jobs()
        for gone in [closed(each, self._clock) for each in (*self._streams, self._connection)]:
            await gone

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
