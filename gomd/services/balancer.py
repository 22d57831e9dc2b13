"""The clock-driven balancer: asks once a second whether a process should move, and moves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.interfaces import IMembership
from gomd.jobs.placement.balancing import Balance, ProposedMove
from libgomd.errors import GomdError
from libgomd.model import Counter, Process

#: Seconds from round to round.
PERIOD = 1.0


class Balancer(Service):
    """
    Moves one process at a time.

    :param balance: decides. :param members: tells the nodes, this one with its newest values.
    :param processes: gives those that run on this node and may be gomd's to move.
    :param migrate: moves a process to the node of that id; its Awaitable ends when the process runs there,
        and raises a `GomdError` when it stays. It has time limits of its own.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        balance: Balance,
        members: IMembership,
        processes: Callable[[], Awaitable[Sequence[Process]]],
        migrate: Callable[[Process, int], Awaitable[object]],
        clock: IReactorTime,
        period: float = PERIOD,
    ) -> None:
        self.moves = self.failures = 0
        self._balance = balance
        self._members = members
        self._processes = processes
        self._migrate = migrate
        self._clock = clock
        self._period = period
        self._busy = False
        self._loop = LoopingCall(self._start)
        self._loop.clock = clock

    def startService(self) -> None:
        """Look once a second from now on."""
        super().startService()
        self._loop.start(self._period, now=False)

    def stopService(self) -> None:
        """Begin no more moves. One under way belongs to the migrator, which ends or settles it."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()

    def counters(self) -> Iterable[Counter]:
        """What it counted, for `stats`."""
        yield Counter("balance_moves", self.moves, "processes moved by balancing")
        yield Counter("balance_failures", self.failures, "processes that balancing could not move")

    def _start(self) -> None:
        """Begin a round unless one is not over: a move may take minutes. Never raises."""
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self.round()).addErrback(
                lambda failure: self._log.failure("balancing failed", failure=failure)
            )

    async def round(self) -> None:
        """Look once, and make the move that is worth it, if there is one. Never raises."""
        self._busy = True
        try:
            processes = await self._processes()
            move = self._balance.decide(self._members.nodes(), processes, self._clock.seconds())
            if move is not None and self.running:
                await self._make(move)
        except GomdError as error:
            self._log.warn("not balanced this time: {error}", error=error)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("balancing failed")
        finally:
            self._busy = False

    async def _make(self, move: ProposedMove) -> None:
        began = self._clock.seconds()
        process, node = move.process, move.node
        try:
            await self._migrate(process, node.id)
        except Exception as error:
            self.failures += 1
            self._balance.failed(move, self._clock.seconds())
            if not isinstance(error, GomdError):
                raise
            self._log.warn(
                "process {process} stays, it could not be moved to node {node}: {error}",
                process=process.identity, node=node.id, error=error,
            )  # fmt: skip
        else:
            self.moves += 1
            now = self._clock.seconds()
            self._balance.moved(move, now - began, now)
            self._log.info(
                "process {process} moved to node {node} in {seconds} s: it should end {gain} s earlier",
                process=process.identity, node=node.id, seconds=round(now - began, 2),
                gain=round(move.gain, 1),
            )  # fmt: skip
