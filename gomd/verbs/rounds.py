"""
The rounds of watches. Equal watches share each round: its verb is run once, and its lines are made once.

Watches are equal if they have the same words, period and format, and if their callers have the same role and
user: whatever one of them is shown, the other may see as well. Each viewer takes rounds at its own pace. A
slow viewer gets fewer of them; it neither delays the others nor makes rounds pile up in memory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from gomd.verbs.context import ISession
from gomd.verbs.numbered_lines import NumberedLines, SharedPiece
from gomd.verbs.rendering import Lines, piece_of, pieces_in, rows_in
from gomd.verbs.replies import Prepared, Reply, Replying, Rows, ValueReply
from gomd.verbs.round_times import RoundTimes
from libgomd.model import Caller

B = TypeVar("B")

#: Seconds; a new viewer is not given a round that is older.
MAX_ROUND_AGE: Final = 1.0
#: Viewers that are given a round in one turn of the reactor.
VIEWERS_PER_TURN: Final = 10


@implementer(ISession)
@dataclass
class Watcher:
    """
    The session as which a shared watch asks. It is that of the first viewer, and does not change.

    :ivar period: seconds from round to round: what a verb shows should be no older.
    """

    caller: Caller
    json: bool
    wrong_tokens: int = 0
    period: float | None = None
    token: str = ""


class Round:
    """
    One answer, shared by all viewers. Its lines are made when the first viewer needs them.

    :ivar at: when it was answered, in seconds of the monotonic clock.
    """

    def __init__(self, answer: Reply, json: bool, at: float) -> None:
        self.at = at
        self._answer = answer
        self._json = json
        self._made: dict[int, Lines] | None = {}
        self._body: Any = None
        self._shared: dict[int, SharedPiece] | None = {}
        self._waiting: list[Deferred[None]] | None = None

    def retire(self) -> None:
        """Drop the lines: there is a newer round. Viewers that still send this one make the lines again."""
        self._made = self._shared = None

    async def body(self, clock: IReactorTime, made: Callable[[str], B]) -> B:
        """
        Return the round as one JSON object, ``{"rows": [...]}`` or ``{"value": ...}``, without its number.

        It is made once for all viewers, about a millisecond's work at a time; the others wait for the first.
        It is kept as long as a viewer has this round.

        :param made: makes of the text what is kept for them; the same for all.
        """
        while self._body is None:
            if self._waiting is None:
                await self._make_body(clock, made)
            else:
                waiting: Deferred[None] = Deferred(self._waiting.remove)
                self._waiting.append(waiting)
                await waiting
        found: B = self._body
        return found

    async def _make_body(self, clock: IReactorTime, made: Callable[[str], Any]) -> None:
        self._waiting = []
        try:
            lines: list[str] = []
            for at in range(pieces_in(self._answer, True)):
                lines += self._piece(at)
                await deferLater(clock, 0)
            self._body = made(_object_of(self._answer, lines))
        finally:
            waiting, self._waiting = self._waiting, None
            for each in waiting:
                clock.callLater(0, _wake, each)

    def pieces(self, number: int) -> Iterator[Lines]:
        """
        Yield its lines in pieces of about a millisecond's work.

        :param number: of this round for this viewer. In JSON each row has it, and the number of rows; behind
            `Rows.matched`, which a merged watch passes on with the row's own values.
        """
        answer, count = self._answer, rows_in(self._answer)
        if not self._json:
            if number > 1 and not isinstance(answer, ValueReply):
                yield [""]
            for at in range(pieces_in(answer, False)):
                yield self._piece(at)
            return
        end = f'"round": {number}, "rows": {count}}}'
        if not count:
            yield ["{" + end]
        if isinstance(answer, Rows) and answer.matched is not None:
            end = f'"matched": {answer.matched}, {end}'
        for at in range(pieces_in(answer, True)):
            yield NumberedLines(self._shared_piece(at), f", {end}")

    def _shared_piece(self, at: int) -> SharedPiece:
        if self._shared is None:
            return SharedPiece(self._piece(at))
        if at not in self._shared:
            self._shared[at] = SharedPiece(self._piece(at))
        return self._shared[at]

    def _piece(self, at: int) -> Lines:
        made = self._made
        if made is None:
            return piece_of(self._answer, self._json, at)
        if at not in made:
            made[at] = piece_of(self._answer, self._json, at)
        return made[at]


def _wake(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)


def _object_of(answer: Reply, lines: Lines) -> str:
    if isinstance(answer, (Rows, Prepared)):
        return f'{{"rows": [{", ".join(lines)}]}}'
    if isinstance(answer, ValueReply):
        return lines[0]  # it is {"value": ...} already
    return f'{{"value": {lines[0]}}}'


class SharedWatch:
    """
    Runs its verb every ``period`` seconds while there are viewers.

    :param ask: runs the verb once. :param first: the result of its first run.
    :param times: when rounds are due; None for each period from the first one on.
    :param begun: called when the first viewer comes. :param ended: called when the last viewer has gone, and
        when the verb has failed.
    """

    def __init__(
        self,
        clock: IReactorTime,
        ask: Callable[[], Replying],
        first: Replying,
        period: float,
        times: RoundTimes | None,
        json: bool,
        begun: Callable[[SharedWatch], object],
        ended: Callable[[SharedWatch], None],
    ) -> None:
        self._clock = clock
        self._times = times
        self._ask = ask
        self._first: Replying | None = first
        self._period = period
        self._json = json
        self._begun = begun
        self._ended = ended
        self._viewers = 0
        self._latest: Round | None = None
        self._error: Exception | None = None
        self._waiting: dict[Deferred[Round], float] = {}
        self._wanted: Deferred[None] | None = None
        self._task: Deferred[None] | None = None

    async def view(self, count: int | None) -> AsyncGenerator[Round, None]:
        """Yield a round now, then one each period, ``count`` in all. Raises what the verb raises."""
        self._viewers += 1
        try:
            shown = await self._now()
            done = 1
            yield shown
            while done != count:
                # A viewer that has just come skips a round that comes too soon after its first.
                shown = await self._next(shown.at + self._period / 2)
                done += 1
                yield shown
        finally:
            self._viewers -= 1
            if not self._viewers:
                self._end()

    async def _now(self) -> Round:
        if self._task is None:
            self._begun(self)
            self._task = Deferred.fromCoroutine(self._run())
            self._task.addErrback(lambda failure: failure.trap(CancelledError))
        now = self._clock.seconds()
        if self._latest is None:
            return await self._next(now)
        if now - self._latest.at <= min(self._period, MAX_ROUND_AGE):
            return self._latest
        return Round(await _resolved(self._ask()), self._json, now)

    async def _next(self, not_before: float) -> Round:
        if self._error is not None:
            raise self._error
        if self._latest is not None and self._latest.at >= not_before:
            await deferLater(self._clock, 0)  # so that a viewer that is always late can be stopped here
            return self._latest
        waiting: Deferred[Round] = Deferred(self._forget_viewer)
        self._waiting[waiting] = not_before
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            wanted.callback(None)
        return await waiting

    def _forget_viewer(self, viewer: Deferred[Round]) -> None:
        self._waiting.pop(viewer, None)

    async def _run(self) -> None:
        """Run the verb again and again. An error ends the watch of every viewer."""
        try:
            due = self._clock.seconds()
            first, self._first = self._first, None
            replying = self._ask() if first is None else first
            while True:
                answer = await _resolved(replying)
                now = self._clock.seconds()
                self._publish(Round(answer, self._json, now))
                times, period = self._times, self._period
                due = max(due + period if times is None else times.after(due, period), now)
                await deferLater(self._clock, due - now)
                if not self._waiting:  # all viewers are still busy with an older round
                    self._wanted = Deferred()
                    await self._wanted
                replying = self._ask()
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - any error ends the answer of each viewer
            self._error = error
            self._ended(self)
            waiting, self._waiting = self._waiting, {}
            for each in waiting:
                each.errback(Failure(error))

    def _publish(self, latest: Round) -> None:
        if self._latest is not None:
            self._latest.retire()
        self._latest = latest
        self._distribute([each for each, not_before in self._waiting.items() if not_before <= latest.at])

    def _distribute(self, viewers: list[Deferred[Round]]) -> None:
        """Give the latest round to ``viewers``: to some of them now, to the others in later turns."""
        for viewer in viewers[:VIEWERS_PER_TURN]:
            if self._waiting.pop(viewer, None) is not None:
                assert self._latest is not None
                viewer.callback(self._latest)
        if rest := viewers[VIEWERS_PER_TURN:]:
            self._clock.callLater(0, self._distribute, rest)

    def _end(self) -> None:
        self._ended(self)
        task, self._task = self._task, None
        self._latest = None
        if task is not None:
            task.cancel()


async def _resolved(replying: Replying) -> Reply:
    return await replying if isinstance(replying, Awaitable) else replying


class Watches:
    """The shared watches of a daemon."""

    def __init__(self) -> None:
        self._shared: dict[Hashable, SharedWatch] = {}

    def join(
        self,
        clock: IReactorTime,
        session: ISession,
        what: Hashable,
        period: float,
        count: int | None,
        ask: Callable[[ISession], Replying],
        ended: Callable[[], None] = lambda: None,
        times: RoundTimes | None = None,
    ) -> AsyncGenerator[Round, None]:
        """
        Return ``count`` rounds of a watch for the caller of ``session``.

        :param what: the request; None if the watch is not shared.
        :param ask: runs the verb once for a session. Its errors are raised if no equal watch runs yet.
        :param ended: called when the last viewer has gone, unless an equal watch ran already.
        :param times: when its rounds are due; None for each period from the first one on.
        """
        caller = session.caller
        key = (what, period, session.json, caller.role, caller.uid, caller.user) if what else object()
        shared = self._shared.get(key)
        if shared is None:
            watcher = Watcher(caller, session.json, period=period)
            first = ask(watcher)  # an error here is the answer to the watch itself
            shared = SharedWatch(
                clock, lambda: ask(watcher), first, period, times, session.json,
                lambda begun: self._shared.setdefault(key, begun),
                lambda watch: self._forget(key, watch, ended),
            )  # fmt: skip
        return shared.view(count)

    def _forget(self, key: Hashable, watch: SharedWatch, ended: Callable[[], None]) -> None:
        if self._shared.get(key) is watch:
            del self._shared[key]
        ended()
