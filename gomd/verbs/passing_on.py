"""One request that this node, as a relay, passes on to a branch of others; loaded with the first of them."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar, Final

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.verbs.branch_rows import ALIVE, answer_rows, refusal_row
from gomd.verbs.branches import BranchRequest
from gomd.verbs.context import ISession, Parts
from gomd.verbs.forwarding import Asking
from gomd.verbs.tree_fan_out import RESERVE, TreeFanOut, Ways
from libgomd.deadlines import within
from libgomd.errors import GomdError, InternalError, NotFound, TimedOut, TooMany
from libgomd.model import Node

#: Characters of answers that are kept for one request until the other daemon has read them.
MAX_KEPT: Final = 64 << 20
#: Rows that are passed on at a time, unless one answer has more.
ROWS_PER_PIECE: Final = 500
#: Seconds between two signs that this node is there.
ALIVE_PERIOD: Final = 1.0
#: Of the seconds that are left, the part that a branch of the branch may take.
BRANCH_PART: Final = 0.6


class PassingOn:
    """One request that is passed on: the rows of its answer as they come, see gomd.verbs.branch_rows."""

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        parts: Parts,
        session: ISession,
        asked: BranchRequest,
        asking: Asking,
        gates: Sequence[DeferredSemaphore],
    ) -> None:
        self._parts = parts
        self._asked = asked
        self._json = session.json
        self._rows: deque[list[str]] = deque()
        self._kept = 0
        self._wakeup: Deferred[None] | None = None
        self._done = False
        self._left = {parts.members.own_id, *asked.nodes}
        ways = Ways(
            parts.clock, parts.members.own_id, parts.fan_out,
            lambda node: asking.ask(parts, session, node, asked.request, is_passed_on=True),
            lambda node, request: asking.through(parts, session, node, request),
            parts.intermediates, gates,
        )  # fmt: skip
        self._fan_out = TreeFanOut(
            ways, asked.request, session.json, self._answered,
            lambda node, error: self._refused(node.id, error), self._grown,
        )  # fmt: skip

    async def pieces(self) -> AsyncGenerator[Sequence[str], None]:
        """Yield the rows of one node after the other, in the order in which they answer."""
        alive = LoopingCall(self._alive)
        alive.clock = self._parts.clock
        alive.start(ALIVE_PERIOD, now=False)
        work = Deferred.fromCoroutine(self._work())
        work.addErrback(lambda failure: None)
        try:
            while self._rows or not self._done:
                if not self._rows:
                    self._wakeup = Deferred()
                    await self._wakeup
                    continue
                some: list[str] = []
                while self._rows and len(some) < ROWS_PER_PIECE:
                    some += self._rows.popleft()
                self._kept -= sum(map(len, some))
                yield some
        finally:
            alive.stop()
            work.cancel()

    async def _work(self) -> None:
        """Ask all nodes; then give a reason for each that has no answer. Fails only when it is cancelled."""
        parts, asked, limit = self._parts, self._asked, self._asked.seconds
        known: dict[int, Node] = {node.id: node for node in parts.members.nodes()}
        nodes = [known[each] for each in (parts.members.own_id, *asked.nodes) if each in known]
        own = parts.collector.own
        for each in asked.nodes:
            if each not in known:
                self._refused(each, NotFound(f"node {each} is not known to node {own.id} {own.name}"))
        late: GomdError = TimedOut(f"node {own.id} {own.name} had no answer of it within {limit:g} s")
        left = max(0.1, limit - RESERVE)
        try:
            work = Deferred.fromCoroutine(self._fan_out.run(nodes, asked.depth, left, BRANCH_PART * left))
            await within(parts.clock, limit, work, late)
        except TimedOut:
            pass
        except Exception:  # noqa: BLE001 - a bug: say so loudly; the nodes are asked otherwise
            self._log.failure("passing a request on failed")
            late = InternalError("gomd failed because of a bug: its log has the details")
        for each in sorted(self._left):
            self._refused(each, late)
        self._done = True
        self._wake()

    def _answered(self, node: int, lines: list[str]) -> None:
        self._add(node, answer_rows(node, lines))

    def _refused(self, node: int, error: GomdError) -> None:
        self._add(node, [refusal_row(node, error)])

    def _add(self, node: int, rows: list[str]) -> None:
        if node in self._left:
            self._left.discard(node)
            self._rows.append(rows)
            self._kept += sum(map(len, rows))
            self._wake()

    def _grown(self) -> None:
        """:raises TooMany: too much is kept here."""
        if self._kept + self._fan_out.held > MAX_KEPT:
            raise TooMany("more is on its way than a node keeps for others: ask this node itself")

    def _alive(self) -> None:
        if not self._rows:
            self._rows.append([ALIVE])
            self._kept += len(ALIVE)
            self._wake()

    def _wake(self) -> None:
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None:
            wakeup.callback(None)
