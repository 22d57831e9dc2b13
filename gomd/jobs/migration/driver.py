"""
Does what a migration's tables say, in order: writes, messages, acts, with limits on the clock.

It knows neither criu nor the network: what it acts on is given to it (`SideEffects`). One `MigrationDriver`
is one side of
one migration.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable
from typing import Any, ClassVar, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from gomd.jobs.migration.protocol import (
    FINAL,
    Act,
    Local,
    MessageKind,
    MigrationSide,
    SourceState,
    State,
    Step,
    TargetState,
    Write,
)
from libgomd.errors import GomdError

#: Seconds a side says the same again after, and seconds in which it must be decided, memory sent and all.
AGAIN = 2.0
LIMIT = 900.0

#: What an act that ends well is called.
_DONE = {Act.PREPARE: Local.PREPARED, Act.FREEZE: Local.DUMPED, Act.RESTORE: Local.BROUGHT_UP}
_DECIDED = frozenset(FINAL) | {
    SourceState.DECIDED, SourceState.GIVEN, SourceState.SEARCHING, TargetState.HOLDING, TargetState.RUNNING,
}  # fmt: skip


class SideEffects(Protocol):
    """What a side of a migration can do. What fails raises `GomdError` or OSError."""

    def act(self, act: Act) -> Awaitable[None]:
        """Do it. `Act.THAW`, `Act.END` and `Act.CLEAR` first cancel what is under way, and may come twice."""

    def write(self, state: State, reason: str) -> Awaitable[None]:
        """Write it to the journal; done when the disk has it."""

    def send(self, message: MessageKind, reason: str) -> None:
        """Send it, or drop it when there is no connection: it is said again."""


class MigrationDriver:
    """
    One side of one migration.

    :param steps: the first ones, as `MigrationSide.offer`, `accept` or `recover` gave them.
    :ivar reason: why it came to this, for a person; empty when all goes well.
    :ivar settled: fires with the final state.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        migration: MigrationSide,
        steps: list[Step],
        hands: SideEffects,
        clock: IReactorTime,
        limit: float = LIMIT,
    ) -> None:
        self.migration = migration
        self.reason = ""
        self.settled: Deferred[State] = Deferred()
        self._hands = hands
        self._clock = clock
        self._events: deque[tuple[MessageKind | Local, str]] = deque()
        self._closed = False
        self._under_way: Deferred[None] | None = None
        self._limit = clock.callLater(limit, self.tell, Local.EXPIRED, f"it took longer than {limit:g} s")
        self._again: IDelayedCall = clock.callLater(AGAIN, self._say_again)
        self._busy = False
        self._doing: Deferred[None] | None = None
        if steps:
            self.do(steps)

    def do(self, steps: list[Step]) -> None:
        """Do the first steps, when the constructor was not given them."""
        self._start(steps)

    def tell(self, event: MessageKind | Local, reason: str = "") -> None:
        """Something happened; what follows is done in turn. Never raises."""
        if not self._closed:
            self._events.append((event, reason))
            if not self._busy:
                self._start([])

    def close(self) -> None:
        """The daemon ends: do no more. The journal knows where to go on."""
        self._closed = True
        self._events.clear()
        for timer in (self._limit, self._again):
            if timer.active():
                timer.cancel()
        for waited in (self._under_way, self._doing):
            if waited is not None:
                waited.cancel()

    def _say_again(self) -> None:
        self._again = self._clock.callLater(AGAIN, self._say_again)
        self.tell(Local.TIMER)

    def _start(self, steps: list[Step]) -> None:
        self._doing = Deferred.fromCoroutine(self._run(steps))
        self._doing.addErrback(self._broken)

    async def _run(self, steps: list[Step]) -> None:
        """Do ``steps`` and what the events ask for that come meanwhile, one after the other."""
        self._busy = True
        try:
            await self._do(steps)
            while self._events and not self._closed:
                event, reason = self._events.popleft()
                before = self.migration.state
                following = self.migration.tell(event)
                if self.migration.state is not before and reason and not self.reason:
                    self.reason = reason
                await self._do(following)
        finally:
            self._busy = False

    async def _do(self, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, Write):
                await self._write(step.state)
            elif isinstance(step, MessageKind):
                self._hands.send(step, self.reason)
            elif step in _DONE:
                self._begin(step)
            else:
                await self._surely(step)
        if self.migration.state in _DECIDED and self._limit.active():
            self._limit.cancel()
        if self.migration.settled and not self.settled.called:
            self._again.cancel()
            self.settled.callback(self.migration.state)

    async def _write(self, state: State) -> None:
        """Nothing goes on before it is on the disk, however long that takes: it may rule what is true."""
        while True:
            try:
                return await self._hands.write(state, self.reason)
            except (GomdError, OSError) as error:
                self._log.error("the journal of migrations cannot be written: {error}", error=error)
                await deferLater(self._clock, AGAIN)

    async def _surely(self, act: Act) -> None:
        """Thaw, end and clear are done again until they are done."""
        while True:
            try:
                return await self._hands.act(act)
            except (GomdError, OSError) as error:
                self._log.error("{act} of a migration failed: {error}", act=act.word, error=error)
                await deferLater(self._clock, AGAIN)

    def _begin(self, act: Act) -> None:
        """Begin what takes long; messages are heard meanwhile."""

        async def work() -> None:
            await self._hands.act(act)

        waited = self._under_way = Deferred.fromCoroutine(work())

        def failed(failure: Any) -> None:
            if not self._closed and failure.check(GomdError, OSError) is None:
                self._log.failure("{act} of a migration broke", failure=failure, act=act.word)
            self.tell(Local.FAILED, str(failure.value))

        waited.addCallbacks(lambda _none: self.tell(_DONE[act]), failed)

    def _broken(self, failure: Any) -> None:
        if not self._closed:
            self._log.failure("a migration broke", failure=failure)
