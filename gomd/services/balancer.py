"""The balancer: asks once a second whether a process should move, and moves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.interfaces import IMembership
from gomd.jobs.placement.balancing import Balance, ProposedMove
from libgomd.errors import GomdError
from libgomd.model import Counter, Process

#: Seconds from one round to the next.
PERIOD: Final = 1.0


class Balancer(Service):
    """
    Moves one process at a time.

    :param balance: decides. :param members: knows the nodes, and the newest values of this one.
    :param processes: gives the processes of this node that gomd may move.
    :param migrate: moves a process to the node of that id. Its Awaitable ends when the process runs there,
        and raises a `GomdError` when it stays. It has timeouts of its own.
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
        """Begin a round every second from now on."""
        super().startService()
        self._loop.start(self._period, now=False)

    def stopService(self) -> None:
        """Begin no more moves. The migrator ends or settles the one that may be under way."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()

    def counters(self) -> Iterable[Counter]:
        """Return its counters, for `stats`."""
        yield Counter("balance_moves", self.moves, "processes moved by balancing")
        yield Counter("balance_failures", self.failures, "processes that balancing could not move")

    def _start(self) -> None:
        """Begin a round, unless the last one has not ended: a move may take minutes. Never raises."""
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self.round()).addErrback(
                lambda failure: self._log.failure("balancing failed", failure=failure)
            )

    async def round(self) -> None:
        """Make the move that is worth its cost, if there is one. Never raises."""
        self._busy = True
        try:
            processes = await self._processes()
            move = self._balance.decide(self._members.nodes(), processes, self._clock.seconds())
            if move is not None and self.running:
                await self._make(move)
        except GomdError as error:
            self._log.warn("this round of balancing is skipped: {error}", error=error)
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
                "process {process} stays here, because it could not be moved to node {node}: {error}",
                process=process.identity, node=node.id, error=error,
            )  # fmt: skip
        else:
            self.moves += 1
            now = self._clock.seconds()
            self._balance.moved(move, now - began, now)
            self._log.info(
                "process {process} moved to node {node} in {seconds} s and should end {gain} s earlier",
                process=process.identity, node=node.id, seconds=round(now - began, 2),
                gain=round(move.gain, 1),
            )  # fmt: skip
