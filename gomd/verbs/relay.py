"""
The verb `relay`: asks this node and a branch of others for another daemon, and passes on what they answer.

Between daemons only. The caller is the one on whose behalf the other daemon asks, and each node of the branch
is asked on behalf of the same one; each applies its own checks, as it does when it is asked directly. This
node answers as what its own trust in other nodes makes of that caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar, Final

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.verbs import arguments as words
from gomd.verbs.branch_rows import ALIVE, answer_rows, refusal_row
from gomd.verbs.branches import DO, RELAY, WATCH, BranchRequest, is_relayed, parse_branch
from gomd.verbs.context import ISession, Parts
from gomd.verbs.forwarding import Asking
from gomd.verbs.quotas import Group, Quotas, ReleasingRows
from gomd.verbs.relay_gates import Gates
from gomd.verbs.replies import Relayed, Replying
from gomd.verbs.table import Verb
from gomd.verbs.tree_fan_out import RESERVE, TreeFanOut, Ways
from libgomd.deadlines import within
from libgomd.errors import GomdError, InternalError, MalformedRequest, NotFound, TimedOut, TooMany
from libgomd.model import Node, Role
from libgomd.wire.lines import BLOCK

#: Largest number of requests at once that are relayed, of each group of callers and of one caller. Those of
#: readers over tcp count for the node that asks.
MAX_RELAYS: Final = {Group.READERS: 256, Group.USERS: 512, Group.ADMINS: 1024}
MAX_RELAYS_PER_CALLER: Final = {Group.READERS: 64, Group.USERS: 128, Group.ADMINS: 1024}
#: Characters of answers that are kept for one request until the other daemon has read them.
MAX_KEPT: Final = 64 << 20
#: Rows that are passed on at a time, unless one answer has more.
ROWS_PER_PIECE: Final = 500
#: Seconds between two signs that this node is there.
ALIVE_PERIOD: Final = 1.0
#: Of the seconds that are left, the part that a branch of the branch may take.
BRANCH_PART: Final = 0.6


def make_relay(asking: Asking) -> Verb:
    """Return the verb. :param asking: asks this node and others."""
    places = Quotas("requests passed on for other nodes", MAX_RELAYS, MAX_RELAYS_PER_CALLER)
    gates = Gates()

    def answer(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Replying:
        words.peer(session.caller)
        asked = parse_branch(arguments, parts.members.own_id)
        verb = asked.request.verb
        if not is_relayed(asked.request) or (verb == WATCH and not session.json):
            raise MalformedRequest(f"`{verb[:40]}` is not passed on so: ask each node itself")
        release = places.take(session.caller)
        if verb == WATCH:
            from gomd.verbs.relayed_watch import RelayedWatch  # most nodes are no relays

            rounds = ReleasingRows(RelayedWatch(parts, session, asked, asking).pieces(), release)
            return Relayed(BLOCK, f"watching {len(asked.nodes) + 1} nodes", rounds, lasts=True)
        if verb == DO:
            from gomd.verbs.relayed_commands import relayed_commands

            commands = relayed_commands(parts, session, asked, asking, gates.of(session))
            return Relayed(
                BLOCK,
                f"{len(asked.nodes) + 1} nodes run it",
                ReleasingRows(commands, release),
                needs_caller=True,
            )
        passing = PassingOn(parts, session, asked, asking, gates.of(session))
        return Relayed(BLOCK, f"{len(asked.nodes) + 1} nodes asked", ReleasingRows(passing.pieces(), release))

    return Verb(
        RELAY, "DEPTH SECONDS NODES VERB ...", Role.READ,
        "ask this node and others, between daemons", answer, web="",
    )  # fmt: skip


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
