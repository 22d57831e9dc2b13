"""
Feeds for watches of several nodes: each keeps the newest rows of one node.

In JSON a feed subscribes: it sends the node one `watch` request and takes its rounds as they come. In text,
where rounds cannot be told apart, it asks once a period. A feed that fails starts again after a pause, which
grows.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from gomd.verbs import rendering
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
from libgomd.wire.values import loads

#: Seconds before a feed that failed starts again: at first, and at most.
FIRST_PAUSE: Final = 1.0
MAX_PAUSE: Final = 30.0
#: Seconds without a line, beside three periods, after which a node counts as silent and is asked anew.
SILENCE_TIMEOUT: Final = 10.0
#: Maximum size of the rows of one node, in characters, and their number.
MAX_FEED_BYTES: Final = 32 << 20
MAX_FEED_ROWS: Final = 100_000
#: A row of a watch in JSON: its own fields, the number of its round, and how many rows that has.
_ROW: Final = re.compile(r'\{(.*)"round": ([0-9]{1,15}), "rows": ([0-9]{1,9})\}', re.DOTALL)
#: The end of such a row, and the largest length of it.
_END: Final = re.compile(r'"round": ([0-9]{1,15}), "rows": ([0-9]{1,9})\}$')
_END_LENGTH: Final = 64

Ask = Callable[[Node], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there are no rows of a node, or no newer ones."""

    code: int
    text: str


class Feed:
    """
    The newest rows of one node.

    :ivar rows: lines of text, or the fields of JSON objects without braces; None until the node has answered.
    :ivar failure: why there is nothing newer; None while all is well.
    :param find: gives the node as it is now; raises `GomdError`. :param ask: asks it, for one round in text,
        for a `watch` in JSON. :param gate: limits how many nodes are being connected to at once.
    :param changed: called when the first rows have come, and after each failure.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        find: Callable[[], Node],
        ask: Ask,
        gate: DeferredSemaphore,
        period: float,
        json: bool,
        changed: Callable[[], None],
    ) -> None:
        self.rows: list[str] | None = None
        self.failure: Failure | None = None
        self._clock = clock
        self._find = find
        self._ask = ask
        self._gate = gate
        self._period = period
        self._json = json
        self._changed = changed
        self._fresh_at = 0.0
        self._pause = FIRST_PAUSE
        self._pausing: Deferred[None] | None = None
        self._stopped = False
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

    async def _run(self) -> None:
        """Keep the rows current until the feed is stopped. Never raises but `CancelledError`."""
        while True:
            try:
                await (self._subscribe() if self._json else self._poll())
            except CancelledError:
                raise
            except (RequestError, NodeError) as error:
                self.failure = Failure(error.code, error.text)
            except GomdError as error:
                self.failure = Failure(500, str(error))
            except Exception:  # noqa: BLE001 - a bug: say so loudly, and try again
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

    def _take(self, rows: list[str]) -> None:
        is_first = self.rows is None
        self.rows, self.failure, self._fresh_at = rows, None, self._clock.seconds()
        self._pause = FIRST_PAUSE
        if is_first:
            self._changed()

    # -- in JSON

    async def _subscribe(self) -> None:
        """Take the rounds of the node's own watch. Raises when it ends, which only a failure does."""
        node = self._find()
        await self._gate.acquire()
        try:
            reply = await self._ask(node)
        finally:
            self._gate.release()
        pieces = _block_of(reply, True)
        silence = Silence(self._clock, SILENCE_TIMEOUT + 3 * self._period)
        reading = Deferred.fromCoroutine(self._read(node, pieces, silence))
        silence.guard(reading)
        try:
            await reading
        except CancelledError:
            if not silence.is_too_long:
                raise
            late = f"node {node.id} {node.name} has said nothing for {silence.limit:g} s"
            raise TimedOut(late) from None
        finally:
            silence.stop()
            await pieces.aclose()

    async def _read(self, node: Node, pieces: AsyncGenerator[Sequence[str], None], silence: Silence) -> None:
        """Take rounds as they come. Raises when there are no more."""
        number, rows, size = "", list[str](), 0
        while True:
            try:
                piece = await pieces.__anext__()
            except StopAsyncIteration:
                raise TimedOut(f"node {node.id} {node.name} ended the watch: it is asked again") from None
            silence.heard()
            if not rows and (whole := _whole_round(piece)) is not None:
                self._take(whole)
                continue
            for line in piece:
                found = _ROW.fullmatch(line)
                if found is None:
                    raise _error_in(line)
                if found[2] != number:
                    number, rows, size = found[2], [], 0
                count = int(found[3])
                if count:
                    rows.append(found[1])
                    size += len(line)
                if count > MAX_FEED_ROWS or size > MAX_FEED_BYTES:
                    raise NotPossible(
                        f"node {node.id} {node.name} has too many rows to be watched with others: "
                        "select some, as with `ps --top 100`"
                    )
                if len(rows) >= count:
                    self._take(rows)
                    number, rows, size = "", [], 0

    # -- in text

    async def _poll(self) -> None:
        """Ask the node once each period. Raises when it fails."""
        while True:
            began = self._clock.seconds()
            node = self._find()
            limit = SILENCE_TIMEOUT + 3 * self._period
            late = TimedOut(f"node {node.id} {node.name} did not answer within {limit:g} s")
            work = Deferred.fromCoroutine(self._answer(node))
            self._take(await within(self._clock, limit, work, late))
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
        pieces, lines, size = _block_of(reply, False), list[str](), 0
        try:
            async for piece in pieces:
                lines += piece
                size += sum(map(len, piece))
                if len(lines) > MAX_FEED_ROWS or size > MAX_FEED_BYTES:
                    raise NotPossible(f"node {node.id} {node.name} has too many lines: ask it alone")
        finally:
            await pieces.aclose()
        return lines


def _whole_round(piece: Sequence[str]) -> list[str] | None:
    """Return the fields of the rows of a whole round, as nodes send a small one; None when it is none."""
    if not piece:
        return None
    found = _END.search(piece[-1][-_END_LENGTH:])
    if found is None or int(found[2]) != len(piece):
        return None
    end = found[0]
    cut = -len(end)
    rows = [line[1:cut] for line in piece if line.endswith(end) and line[0] == "{"]
    return rows if len(rows) == len(piece) else None


def _block_of(reply: Reply, json: bool) -> AsyncGenerator[Sequence[str], None]:
    """Return the block of a reply. :raises GomdError: it is a refusal."""
    code, text = rendering.status_of(reply, json)
    if code != BLOCK:
        raise error_for(code, text) if code >= 400 else MalformedReply(f"{code} {text} is no block")
    return rendering.pieces(reply, json)


def _error_in(line: str) -> Exception:
    """Return the error that the last line of an incomplete block says."""
    try:
        found = loads(line)
        return error_for(int(found["code"]), str(found["error"]))
    except (MalformedReply, TypeError, KeyError, ValueError):
        return MalformedReply(f"no row of a watch: {line[:80]!r}")
