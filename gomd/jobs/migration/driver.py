"""
Executes the tables of the protocol for one migration: records, messages and actions, with timeouts.

It knows neither criu nor the network: what it acts on is given to it (`SideEffects`). One `MigrationDriver`
drives one side of one migration.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable
from typing import Any, ClassVar, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from gomd.jobs.migration.failure_reason import reason_of
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

#: Seconds after which a side sends its last message again, or tries again what must not fail.
RETRY_INTERVAL: Final = 2.0
#: Seconds within which a migration must be decided, the transfer of the memory included.
DECISION_TIMEOUT: Final = 900.0

#: The event that follows an act which has ended well.
_DONE: Final = {Act.PREPARE: Local.PREPARED, Act.FREEZE: Local.DUMPED, Act.RESTORE: Local.BROUGHT_UP}
_DECIDED: Final = frozenset(FINAL) | {
    SourceState.DECIDED, SourceState.GIVEN, SourceState.SEARCHING, TargetState.HOLDING, TargetState.RUNNING,
}  # fmt: skip


class SideEffects(Protocol):
    """The actions that a side of a migration can take. A failure raises `GomdError` or OSError."""

    def act(self, act: Act) -> Awaitable[None]:
        """
        Do something with the process.

        `Act.THAW`, `Act.END` and `Act.CLEAR` first cancel what is under way, and may be called twice.
        """

    def write(self, state: State, reason: str) -> Awaitable[None]:
        """Write the state to the journal; done when it is on the disk."""

    def send(self, message: MessageKind, reason: str) -> None:
        """Send a message. Without a connection it is dropped: everything that matters is sent again."""


class MigrationDriver:
    """
    Drives one side of one migration.

    :param side: where it stands. :param timeout: seconds within which it must be decided.
    :ivar reason: why it came to this, for a person; empty when all goes well.
    :ivar settled: fires with the final state.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        side: MigrationSide,
        side_effects: SideEffects,
        clock: IReactorTime,
        timeout: float = DECISION_TIMEOUT,
    ) -> None:
        self.side = side
        self.reason = ""
        self.settled: Deferred[State] = Deferred()
        self._side_effects = side_effects
        self._clock = clock
        self._events: deque[tuple[MessageKind | Local, str]] = deque()
        self._closed = False
        self._busy = False
        self._acting: Deferred[None] | None = None
        self._stepping: Deferred[None] | None = None
        self._timeout = clock.callLater(
            timeout, self.tell, Local.EXPIRED, f"it took longer than {timeout:g} s"
        )
        self._retry: IDelayedCall = clock.callLater(RETRY_INTERVAL, self._on_retry)

    def do(self, steps: list[Step]) -> None:
        """Do the first steps, as `MigrationSide.offer`, `accept` or `recover` gave them."""
        self._start(steps)

    def tell(self, event: MessageKind | Local, reason: str = "") -> None:
        """Take note that something happened; what follows from it is done in turn. Never raises."""
        if not self._closed:
            self._events.append((event, reason))
            if not self._busy:
                self._start([])

    def close(self) -> None:
        """Do no more, as the daemon ends. The journal tells the next daemon where to go on."""
        self._closed = True
        self._events.clear()
        for timer in (self._timeout, self._retry):
            if timer.active():
                timer.cancel()
        for waiting in (self._acting, self._stepping):
            if waiting is not None:
                waiting.cancel()

    def _on_retry(self) -> None:
        self._retry = self._clock.callLater(RETRY_INTERVAL, self._on_retry)
        self.tell(Local.TIMER)

    def _start(self, steps: list[Step]) -> None:
        self._stepping = Deferred.fromCoroutine(self._run(steps))
        self._stepping.addErrback(self._on_bug)

    async def _run(self, steps: list[Step]) -> None:
        """Do ``steps``, and then what follows from the events that came meanwhile, one after the other."""
        self._busy = True
        try:
            await self._do(steps)
            while self._events and not self._closed:
                event, reason = self._events.popleft()
                before = self.side.state
                following = self.side.tell(event)
                if self.side.state is not before and reason and not self.reason:
                    self.reason = reason
                await self._do(following)
        finally:
            self._busy = False

    async def _do(self, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, Write):
                await self._write(step.state)
            elif isinstance(step, MessageKind):
                self._side_effects.send(step, self.reason)
            elif step in _DONE:
                self._begin(step)
            else:
                await self._do_surely(step)
        if self.side.state in _DECIDED and self._timeout.active():
            self._timeout.cancel()
        if self.side.settled and not self.settled.called:
            self._retry.cancel()
            self.settled.callback(self.side.state)

    async def _write(self, state: State) -> None:
        """Write until the disk has it, however long that takes: the record may be the decision."""
        while True:
            try:
                return await self._side_effects.write(state, self.reason)
            except (GomdError, OSError) as error:
                self._log.error(
                    "writing the journal of migrations failed and is retried: {error}", error=error
                )
                await deferLater(self._clock, RETRY_INTERVAL)

    async def _do_surely(self, act: Act) -> None:
        """Thaw, end or clear: try until it has worked."""
        while True:
            try:
                return await self._side_effects.act(act)
            except (GomdError, OSError) as error:
                self._log.error(
                    "{act} of a migration failed and is retried: {error}", act=act.word, error=error
                )
                await deferLater(self._clock, RETRY_INTERVAL)

    def _begin(self, act: Act) -> None:
        """Begin what takes long; messages are handled meanwhile."""

        async def work() -> None:
            await self._side_effects.act(act)

        acting = self._acting = Deferred.fromCoroutine(work())

        def failed(failure: Any) -> None:
            if not self._closed and failure.check(GomdError, OSError) is None:
                self._log.failure("{act} of a migration failed unexpectedly", failure=failure, act=act.word)
            self.tell(Local.FAILED, reason_of(failure.value))

        acting.addCallbacks(lambda _none: self.tell(_DONE[act]), failed)

    def _on_bug(self, failure: Any) -> None:
        if not self._closed:
            self._log.failure("a migration failed unexpectedly", failure=failure)
