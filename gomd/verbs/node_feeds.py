"""
Feeds for watches of several nodes: each keeps the newest rows of one node.

In JSON a feed subscribes: it sends the node one `watch` request and takes its rounds as they come, as bytes
(gomd.verbs.node_rounds). In text, where rounds cannot be told apart, it asks once a period. A feed that fails
starts again after a pause, which grows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from gomd.verbs import rendering
from gomd.verbs.node_rounds import MAX_ROUND_BYTES, MAX_ROUND_ROWS, NodeRound, RoundCutter
from gomd.verbs.replies import Reply
from libgomd.deadlines import Silence, within
from libgomd.errors import (
    GomdError,
    MalformedReply,
    NodeError,
    NotPossible,
    RequestError,
    TimedOut,
    error_for,
)
from libgomd.model import Node
from libgomd.wire.lines import BLOCK

#: Seconds before a feed that failed starts again: at first, and at most.
FIRST_PAUSE: Final = 1.0
MAX_PAUSE: Final = 30.0
#: Seconds without a line, beside three periods, after which a node counts as silent and is asked anew.
SILENCE_TIMEOUT: Final = 10.0
#: Seconds by which that may be noticed later.
SILENCE_GRAIN: Final = 2.0
#: Asks a node once, for text.
Ask = Callable[[Node], Awaitable[Reply]]
#: Watches a node in JSON: ``(node, opened, take)``. It calls ``opened`` once the node has agreed, then
#: ``take`` with the bytes of the rounds as they come or with rounds that somebody has cut out, and ends only
#: with an error. ``take`` raises `GomdError` for bytes that are no rounds; the watch ends with that error.
Take = Callable[[bytes | NodeRound], None]
Follow = Callable[[Node, Callable[[], None], Take], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there are no rows of a node, or no newer ones."""

    code: int
    text: str


class NodeFeed(ABC):
    """
    The newest rows of one node.

    :ivar rows: lines of text, or a round in JSON; None until the node has answered.
    :ivar failure: why there is nothing newer; None while all is well.
    """

    def __init__(self, clock: IReactorTime, period: float) -> None:
        self.rows: list[str] | NodeRound | None = None
        self.failure: Failure | None = None
        self._clock = clock
        self._period = period
        self._fresh_at = 0.0

    @property
    def answered(self) -> bool:
        """Whether the node has answered, or it is known why not."""
        return self.rows is not None or self.failure is not None

    def age(self) -> float:
        """Return the seconds since the rows were fresh, 0 when they are."""
        passed = self._clock.seconds() - self._fresh_at
        if self.failure is None and passed <= 2 * self._period + 1.0:
            return 0
        return max(0.1, round(passed, 1))

    @abstractmethod
    def stop(self) -> None:
        """End the feed."""

    @abstractmethod
    def wake(self) -> None:
        """End the pause: the node is up again."""

    @abstractmethod
    def refuse(self, error: GomdError) -> None:
        """End the watch and forget its rows: the node has sent what may not be passed on."""


class Feed(NodeFeed):
    """
    A feed with a stream of its own.

    :param find: gives the node as it is now; raises `GomdError`. :param ask: asks it for a round, in text.
    :param follow: watches it in JSON; None for text. :param gate: limits how many nodes are being connected
        to at once. :param changed: called when the first rows have come, and after each failure.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        find: Callable[[], Node],
        ask: Ask,
        follow: Follow | None,
        gate: DeferredSemaphore,
        period: float,
        changed: Callable[[], None],
    ) -> None:
        super().__init__(clock, period)
        self._find = find
        self._ask = ask
        self._follow = follow
        self._gate = gate
        self._changed = changed
        self._pause = FIRST_PAUSE
        self._pausing: Deferred[None] | None = None
        self._stopped = False
        self._reading: Deferred[None] | None = None
        self._refused: GomdError | None = None
        self._task = Deferred.fromCoroutine(self._run())
        self._task.addErrback(lambda failure: failure.trap(CancelledError))

    def stop(self) -> None:
        """End the feed: the stream to the node is closed."""
        self._stopped = True
        self._task.cancel()

    def wake(self) -> None:
        """End the pause: the node is up again."""
        self._pause = FIRST_PAUSE
        if self._pausing is not None:
            self._pausing.cancel()

    async def _run(self) -> None:
        """Keep the rows current until the feed is stopped. Never raises but `CancelledError`."""
        while True:
            try:
                await (self._poll() if self._follow is None else self._subscribe(self._follow))
            except CancelledError:
                raise
            except GomdError as error:
                if self._stopped:
                    raise CancelledError from error
                self.failure = failure_of(error)
            except Exception:  # noqa: BLE001 - a bug: say so loudly, and try again
                if self._stopped:  # it is what the end of the watch looked like to whoever was asked
                    raise CancelledError from None
                self._log.failure("a watch of another node failed")
                self.failure = Failure(500, "an internal error; the log has it")
            self._changed()
            self._pausing = deferLater(self._clock, self._pause)
            self._pause = min(2 * self._pause, MAX_PAUSE)
            try:
                await self._pausing
            except CancelledError:
                if self._stopped:
                    raise
            finally:
                self._pausing = None

    def refuse(self, error: GomdError) -> None:
        """End the watch and forget its rows: the node has sent what may not be passed on."""
        self.rows, self.failure = None, failure_of(error)
        self._refused = error
        if self._reading is not None:
            self._reading.cancel()

    def _take_refusal(self) -> GomdError | None:
        refused, self._refused = self._refused, None
        return refused

    def _take(self, rows: list[str] | NodeRound, now: float) -> None:
        is_first = self.rows is None
        self.rows = rows
        self.failure = None
        self._fresh_at = now
        self._pause = FIRST_PAUSE
        if is_first:
            self._changed()

    # -- in JSON

    async def _subscribe(self, follow: Follow) -> None:
        """Take the rounds of the node's own watch. Raises when it ends, which only a failure does."""
        node = self._find()
        feed = RoundCutter().feed
        await self._gate.acquire()
        held = True
        silence = Silence(self._clock, SILENCE_TIMEOUT + 3 * self._period, SILENCE_GRAIN)

        def opened() -> None:
            nonlocal held
            if held:
                held = False
                self._gate.release()

        def take(data: bytes | NodeRound) -> None:
            now = silence.heard()
            try:
                for rows in feed(data) if isinstance(data, bytes) else (data,):
                    if self.rows is None or self.failure is not None:
                        self._take(rows, now)
                    self.rows, self.failure, self._fresh_at = rows, None, now
            except (MalformedReply, NotPossible, TimedOut) as error:
                raise about(node, error) from error

        self._reading = reading = Deferred.fromCoroutine(_whole(follow(node, opened, take)))
        silence.guard(reading)
        try:
            await reading
        except CancelledError:
            refused = self._take_refusal()
            if self._stopped or not (refused or silence.is_too_long):
                raise
            if refused is not None:
                raise about(node, refused) from None
            late = f"node {node.id} {node.name} has said nothing for {silence.limit:g} s"
            raise TimedOut(late) from None
        finally:
            self._reading = None
            silence.stop()
            opened()
        raise TimedOut(f"node {node.id} {node.name} has ended the watch: it is asked again")

    # -- in text

    async def _poll(self) -> None:
        """Ask the node once each period. Raises when it fails."""
        while True:
            began = self._clock.seconds()
            node = self._find()
            limit = SILENCE_TIMEOUT + 3 * self._period
            late = TimedOut(f"node {node.id} {node.name} did not answer within {limit:g} s")
            work = Deferred.fromCoroutine(self._answer(node))
            lines = await within(self._clock, limit, work, late)
            self._take(lines, self._clock.seconds())
            await deferLater(self._clock, max(0.0, began + self._period - self._clock.seconds()))

    async def _answer(self, node: Node) -> list[str]:
        await self._gate.acquire()
        try:
            reply = await self._ask(node)
        finally:
            self._gate.release()
        code, text = rendering.status_of(reply, False)
        if code < 400 and code != BLOCK:
            return [text]
        pieces, lines, size = _block_of(reply), list[str](), 0
        try:
            async for piece in pieces:
                lines += piece
                size += sum(map(len, piece))
                if len(lines) > MAX_ROUND_ROWS or size > MAX_ROUND_BYTES:
                    raise NotPossible(f"node {node.id} {node.name} has too many lines: ask it alone")
        finally:
            await pieces.aclose()
        return lines


async def _whole(following: Awaitable[None]) -> None:
    await following


def failure_of(error: GomdError) -> Failure:
    """Return what is said of a node that failed so."""
    if isinstance(error, (RequestError, NodeError)):
        return Failure(error.code, error.text)
    return Failure(500, str(error))


def about(node: Node, error: GomdError) -> GomdError:
    """Return the error with the node that has sent what is wrong."""
    return type(error)(f"node {node.id} {node.name}: {error}")


def _block_of(reply: Reply) -> AsyncGenerator[Sequence[str], None]:
    """Return the block of a reply in text. :raises GomdError: it is a refusal."""
    code, text = rendering.status_of(reply, False)
    if code != BLOCK:
        raise error_for(code, text) if code >= 400 else MalformedReply(f"{code} {text} is no block")
    return rendering.pieces(reply, False)
