"""
A whole daemon in memory, for the tests of programs that use `libgomd.client`.

It consists of the daemon's own code: the real verbs and the real telnet line, over a scripted node
(`gomd.sources.memory`). There is no network, no /proc, no thread and no real time::

    from libgomd.testing import MemoryDaemon, MemorySource

    daemon = MemoryDaemon(MemorySource([50, 120]))
    client = daemon.client()
    assert daemon.result(client.load()) == 50
    daemon.advance(1.0)
    assert daemon.result(client.load()) == 120

Nothing happens by itself: `MemoryDaemon.settle` does everything that is due, `advance` lets time pass, and
`result` settles and returns the result of a Deferred or a coroutine.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.test.iosim import IOPump, connect, makeFakeClient, makeFakeServer
from zope.interface import implementer

from gomd.cluster.alone import Alone
from gomd.cluster.events import Events
from gomd.history.none import NoneLog
from gomd.interfaces import ICommands, IStoppable, IThreads, ITokens
from gomd.jobs.disabled import NoJobs
from gomd.jobs.migration.disabled import NoMigrator
from gomd.jobs.ownership import JobOwnership
from gomd.jobs.placement.choice import Placement
from gomd.jobs.relocation import Relocation
from gomd.protocols.no_peers import NoPeers
from gomd.protocols.session import Session
from gomd.protocols.telnet import TelnetLine
from gomd.protocols.telnet_factory import Limits, TelnetFactory
from gomd.services.collector import Collector
from gomd.sources.memory import MemorySource
from gomd.sources.memory_control import MemoryProcessControl
from gomd.sources.settings import written_number
from gomd.tree.cluster_tree import ClusterTree
from gomd.tree.orders import WrittenOrders
from gomd.verbs.all import all_verbs
from gomd.verbs.context import Parts
from gomd.verbs.dispatch import Dispatch
from libgomd.client import Client, open_client
from libgomd.connection import LineConnection
from libgomd.errors import NotFound
from libgomd.model import Caller, Event, Node, Output, Role, Status

__all__ = ["MemoryDaemon", "MemorySource"]

R = TypeVar("R")
T = TypeVar("T")

#: First time of the clock of a daemon in memory, in seconds since the epoch.
START_TIME = 1_000_000_000.0


class MemoryDaemon:
    """
    A daemon without a machine around it.

    :param source: its node; by default, a node without load and processes.
    :param commands: for `do`: name of each command and its output, with its exit status last.
    :param tokens: for `auth`: each token and the caller that it makes.
    :param clock: its time; by default one that stands still between calls of `advance`.
    :ivar clock: the time of the daemon and of its clients. :ivar control: records what was done to processes.
    :ivar telnet_factory: makes its connections. :ivar dispatch: answers requests, whatever their way in.
    :ivar stopped: the reason that `shutdown` gave, None before it.
    """

    def __init__(
        self,
        source: MemorySource | None = None,
        *,
        commands: Mapping[str, Sequence[Output]] | None = None,
        tokens: Mapping[str, Caller] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if clock is None:
            clock = Clock()
            clock.rightNow = START_TIME
        self.clock = clock
        self.source = source or MemorySource()
        self.control = MemoryProcessControl(self.source)
        self.stopped: str | None = None
        self._pumps: list[IOPump] = []
        self._events = Events()
        self._threads = _NoThreads()
        self._collector = self._collecting()
        self.dispatch = Dispatch(all_verbs(), self._parts(commands, tokens))
        self.telnet_factory = TelnetFactory(self.dispatch, self._threads, self.clock, Limits(), 0)
        self._collector.startService()
        self.settle()

    def _collecting(self) -> Collector:
        [node] = self.source.nodes(START_TIME)
        unread = Node(node.id, node.name, node.address, Status.CONFIGURED | Status.UP)
        return Collector(self.source, NoneLog(), self._threads, self.clock, unread, self.clock.seconds)

    def _parts(
        self, commands: Mapping[str, Sequence[Output]] | None, tokens: Mapping[str, Caller] | None
    ) -> Parts:
        collector = self._collector
        members = Alone(collector.own.id, collector)
        peers, jobs = NoPeers(), NoJobs()
        relocation = Relocation(
            self.clock, members, peers, self._threads, self.source, collector, jobs,
            JobOwnership(jobs, collector),
            NoMigrator("this daemon runs no jobs"), Placement(collector.own.id, self.clock),
        )  # fmt: skip
        return Parts(
            clock=self.clock,
            wall=self.clock.seconds,
            collector=collector,
            members=members,
            peers=peers,
            events=self._events,
            tree=ClusterTree(
                self.source, members, self._threads, ordered=WrittenOrders(relocation, written_number)
            ),
            control=self.control,
            threads=self._threads,
            commands=_ScriptedCommands(commands or {}),
            tokens=_KnownTokens(tokens or {}),
            sample_log=NoneLog(),
            daemon=_Stopping(self._stop),
            counters=lambda: chain(collector.counters(), members.counters(), self.telnet_factory.counters()),
            periods=lambda: collector.periods,
            hides_others=lambda: False,
            relocation=relocation,
            jobs=jobs,
            holdings=self.source.holdings,
        )

    def _stop(self, reason: str) -> None:
        self.stopped = reason
        self.clock.callLater(0, self.stop)

    # -- clients

    def connect(
        self, role: Role = Role.ADMIN, user: str = "root", uid: int | None = 0, *, token: str | None = None
    ) -> Deferred[Client]:
        """
        Return what `libgomd.client.connect` would: a Deferred of a client, which fires at `settle`.

        :param role: of the caller. :param user: its user name. :param uid: its user id, None over tcp.
        :param token: is sent with `auth` first.
        """
        caller = Caller(role, user, uid, "memory")
        return Deferred.fromCoroutine(
            open_client(lambda: succeed(self._dial(caller)), self.clock, token=token, timeout=30.0)
        )

    def client(self, role: Role = Role.ADMIN, user: str = "root", uid: int | None = 0) -> Client:
        """Return a connected client."""
        return self.result(self.connect(role, user, uid))

    def _dial(self, caller: Caller) -> LineConnection:
        near = LineConnection()
        far = TelnetLine(self.telnet_factory, Session(caller))
        far.factory = self.telnet_factory
        self._pumps.append(
            connect(far, makeFakeServer(far), near, makeFakeClient(near), greet=False, clock=self.clock)
        )
        return near

    # -- time

    def settle(self) -> None:
        """Do everything that is due: requests, answers, and everything that follows from them."""
        self.clock.advance(0)
        moved = True
        while moved:
            moved = max((pump.flush() for pump in self._pumps), default=False)

    def advance(self, seconds: float) -> None:
        """Let time pass in steps of a tenth of a second. The node is read again every second."""
        end = self.clock.seconds() + seconds
        while (left := end - self.clock.seconds()) > 1e-6:
            self.clock.advance(min(0.1, left))
            self.settle()

    def result(self, waited: Awaitable[T]) -> T:
        """
        Settle, and return the result of ``waited``, or raise its error.

        :raises AssertionError: there is no result yet; perhaps time has to pass.
        """
        outcome: list[T | Failure] = []
        deferred = waited if isinstance(waited, Deferred) else ensureDeferred(cast(Any, waited))
        deferred.addBoth(outcome.append)
        self.settle()
        if not outcome:
            raise AssertionError("no result yet: it waits for something that has not happened, or for time")
        [found] = outcome
        if isinstance(found, Failure):
            found.raiseException()
        return found

    def publish(self, event: Event) -> None:
        """Publish an event to everybody who watches events."""
        self._events.publish(event)
        self.settle()

    def hang_up(self) -> None:
        """Abort every connection, as if the daemon had been killed."""
        pumps, self._pumps = self._pumps, []
        for pump in pumps:
            pump.serverIO.abortConnection()
            pump.flush()

    def stop(self) -> None:
        """Stop the daemon: close every connection and leave nothing scheduled on the clock."""
        if self._collector.running:
            self._collector.stopService()
        self.hang_up()


@implementer(IThreads)
class _NoThreads:
    """Calls everything at once: nothing in memory blocks."""

    def run(self, limit: float, function: Callable[..., R], *arguments: Any) -> Deferred[R]:
        """See `IThreads.run`."""
        return maybeDeferred(function, *arguments)

    def run_apart(
        self, limit: float, key: Hashable, holder: Hashable, function: Callable[..., R], *arguments: Any
    ) -> Deferred[R]:
        """See `IThreads.run_apart`."""
        return maybeDeferred(function, *arguments)


@implementer(ICommands)
class _ScriptedCommands:
    """Commands that give what the test says."""

    def __init__(self, outputs: Mapping[str, Sequence[Output]]) -> None:
        self._outputs = outputs

    def names(self) -> Sequence[str]:
        """See `ICommands.names`."""
        return sorted(self._outputs)

    async def start(self, name: str) -> AsyncGenerator[Output, None]:
        """See `ICommands.start`."""
        if name not in self._outputs:
            raise NotFound(f"there is no command {name}")
        return self._run(self._outputs[name])

    async def _run(self, outputs: Sequence[Output]) -> AsyncGenerator[Output, None]:
        for output in outputs:
            yield output


@implementer(ITokens)
class _KnownTokens:
    """Tokens that the test knows."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = callers

    async def check(self, token: str, caller: Caller) -> Caller | None:
        """See `ITokens.check`."""
        return self._callers.get(token)


@implementer(IStoppable)
class _Stopping:
    """The daemon, as far as `shutdown` uses it."""

    def __init__(self, stop: Callable[[str], None]) -> None:
        self._stop = stop

    def stop(self, reason: str) -> None:
        """See `IStoppable.stop`."""
        self._stop(reason)
