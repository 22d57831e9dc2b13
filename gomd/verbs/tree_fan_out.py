"""
Asks many nodes for one request, most of them through others.

Theory of operation. At most `fan_out` nodes are asked at once. When there are more, they are divided into
that many branches (gomd.verbs.branches); one node of each, its relay, is asked to ask the others of its
branch, and sends each answer as soon as it has it. A relay that cannot be reached, that says nothing for
`SILENCE_TIMEOUT`, that takes longer than it may, or that sends what it was not asked for, is given up: what
it has answered is kept, and the rest of its branch is asked through another node, then directly. A node of
which a relay has no answer is asked directly at once, because the relay may see another part of the cluster
than this node. All of these tries together take no longer than a node that is asked directly may take: a node
that hangs is reported then, wherever it is in the tree. Each node's answer is handed on once: a node is
either in a branch or asked directly.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.interfaces import ForwardedReply
from gomd.verbs.branch_rows import BranchReader
from gomd.verbs.branches import BranchRequest, divide
from gomd.verbs.fan_out import MAX_LINES_PER_NODE, Ask, collected
from gomd.verbs.intermediates import Intermediates
from libgomd.deadlines import Silence, within
from libgomd.errors import GomdError, MalformedReply, MalformedRequest, TimedOut, TooMany
from libgomd.model import Node
from libgomd.wire.lines import BLOCK, Request

#: Seconds without a row after which a relay is given up; it sends one each second.
SILENCE_TIMEOUT: Final = 5.0
#: Seconds that a branch may take at first, and beyond that for its last row to come.
BRANCH_TIMEOUT: Final = 20.0
LAST_ROW_TIMEOUT: Final = 2.0
#: Seconds that a relay keeps for itself of those that it was given.
RESERVE: Final = 2.0
#: Seconds that must be left for another relay of a branch, and that a node has at least when it is asked
#: directly after its relay.
MIN_BRANCH: Final = 10.0
MIN_DIRECT: Final = 5.0
#: Nodes that are tried as the relay of one branch before its nodes are asked directly.
MAX_RELAYS: Final = 2
#: Characters of one node's answer that are kept.
MAX_ANSWER: Final = 64 << 20

#: Sends a request to a node as a relay.
Through = Callable[[Node, Request], Awaitable[ForwardedReply]]


@dataclass(frozen=True)
class Ways:
    """
    How nodes are asked.

    :ivar own: the id of this node, which is asked too but counts for no place.
    :ivar fan_out: how many nodes are asked at once. :ivar ask: asks one node, this one too.
    :ivar through: asks a relay. :ivar gates: limit how many nodes all requests ask at once, by what is left
        of the depth: a relay that waits for others never takes the place of one that need not.
    """

    clock: IReactorTime
    own: int
    fan_out: int
    ask: Ask
    through: Through
    intermediates: Intermediates
    gates: Sequence[DeferredSemaphore]


class TreeFanOut:
    """
    Asks nodes, and hands on the answer of each, once and in any order.

    :param json: the format of the answers. :param answered: called with a node's id and its lines.
    :param failed: called with a node and why there is no answer. :param grown: called whenever more of
        answers is held here; raises `GomdError` when that is too much: the node's answer is then given up.
    :ivar held: characters of answers that are not complete.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        ways: Ways,
        request: Request,
        json: bool,
        answered: Callable[[int, list[str]], None],
        failed: Callable[[Node, GomdError], None],
        grown: Callable[[], None] = lambda: None,
    ) -> None:
        self.held = 0
        self._ways = ways
        self._request = request
        self._json = json
        self._answered = answered
        self._failed = failed
        self._grown = grown
        self._places = DeferredSemaphore(ways.fan_out)
        self._tasks: set[Deferred[None]] = set()
        self._ended: Deferred[None] | None = None
        self._error: BaseException | None = None
        self._depth = 0
        self._direct_limit = self._branch_limit = 0.0

    async def run(
        self, nodes: Sequence[Node], depth: int, limit: float, branch_limit: float = BRANCH_TIMEOUT
    ) -> None:
        """
        Ask ``nodes``; returns when each has been answered or has failed. Cancelling it ends everything.

        :param depth: how often they may be divided. :param limit: seconds that a node may take, from when it
            is asked directly. :param branch_limit: seconds that a branch may take.
        """
        ways = self._ways
        self._depth, self._direct_limit, self._branch_limit = depth, limit, branch_limit
        own = [node for node in nodes if node.id == ways.own]
        others = [node for node in nodes if node.id != ways.own]
        works: list[Coroutine[Any, Any, None]] = [self._ask(node) for node in own]
        if len(others) <= ways.fan_out or depth < 1:
            works += [self._direct(node) for node in others]
        else:
            works += [self._branch({node.id: node for node in part}) for part in divide(others, ways.fan_out)]
        try:
            for work in works:
                self._begin(work)
            while self._tasks:
                self._ended = Deferred()
                await self._ended
        finally:
            for task in tuple(self._tasks):
                task.cancel()
        if self._error is not None:
            raise self._error

    def _begin(self, work: Coroutine[Any, Any, None]) -> Deferred[None]:
        task: Deferred[None] = Deferred.fromCoroutine(work)
        self._tasks.add(task)

        def done(result: Any) -> None:
            self._tasks.discard(task)
            error = getattr(result, "value", None)
            if error is not None and not isinstance(error, CancelledError):
                self._error = self._error or error
            ended = self._ended
            if not self._tasks and ended is not None:
                self._ended = None
                ended.callback(None)

        task.addBoth(done)
        return task

    # -- one node

    async def _direct(self, node: Node, deadline: float | None = None) -> None:
        """Ask a node in its turn. :param deadline: when it must have answered, if a relay was asked first."""
        async with HeldPlace(self._places), HeldPlace(self._ways.gates[0]):
            await self._ask(node, deadline)

    async def _ask(self, node: Node, deadline: float | None = None) -> None:
        ways, limit, counted = self._ways, self._direct_limit, _Counted(self)
        late = TimedOut(f"node {node.id} {node.name} did not answer within {limit:g} s")
        if deadline is not None:
            limit = min(limit, max(MIN_DIRECT, deadline - ways.clock.seconds()))
        work: Deferred[list[str]] = Deferred.fromCoroutine(collected(node, ways.ask, self._json, counted.add))
        try:
            lines = await within(ways.clock, limit, work, late)
        except GomdError as error:
            self._failed(node, error)
        else:
            self._answered(node.id, lines)
        finally:
            counted.end()

    # -- a branch

    async def _branch(self, left: dict[int, Node]) -> None:
        """Ask the nodes of a branch through one of them, through another one if that fails, then directly."""
        deadline: float | None = None  # runs from when the first relay is asked
        for _ in range(MAX_RELAYS):
            ways, now = self._ways, self._ways.clock.seconds()
            if deadline is not None and deadline - now < MIN_BRANCH:
                break
            relay = ways.intermediates.choose(left.values(), ways.own, now) if len(left) > 1 else None
            if relay is None:
                break
            async with HeldPlace(self._places), HeldPlace(self._ways.gates[self._depth]):
                now = ways.clock.seconds()
                deadline = now + self._direct_limit if deadline is None else deadline
                limit = min(self._branch_limit, max(MIN_DIRECT, deadline - now - RESERVE))
                await self._through(relay, left, limit, deadline)
            if not left:
                return
            if relay.id in left:
                self._begin(self._direct(left.pop(relay.id), deadline))
        for node in left.values():
            self._begin(self._direct(node, deadline))

    async def _through(self, relay: Node, left: dict[int, Node], limit: float, deadline: float) -> None:
        """
        Ask ``relay`` for the nodes that are ``left``, and take out what is done with. Never fails.

        :param limit: seconds for the relay. :param deadline: when nodes that it refuses must have answered.
        """
        ways = self._ways
        asked = BranchRequest(
            self._depth - 1, limit, tuple(sorted(left.keys() - {relay.id})), self._request
        ).as_request()
        late = TimedOut(f"it has not asked its branch within {limit:g} s")
        silence = Silence(ways.clock, SILENCE_TIMEOUT)
        reading: Deferred[None] = Deferred.fromCoroutine(self._read(relay, asked, left, silence, deadline))
        silence.guard(reading)
        try:
            await within(ways.clock, limit + LAST_ROW_TIMEOUT, reading, late)
            if left:
                raise MalformedReply(f"it has left out node {min(left)}")
        except CancelledError:
            if not silence.is_too_long:
                raise
            self._give_up(relay, TimedOut(f"it has said nothing for {silence.limit:g} s"))
        except GomdError as error:
            self._give_up(relay, error)
        finally:
            silence.stop()

    def _give_up(self, relay: Node, error: GomdError) -> None:
        log = self._log.warn if isinstance(error, MalformedReply) else self._log.info
        log(
            "node {node} {name} asks no branch for this one any more, which is asked otherwise: {error}",
            node=relay.id, name=relay.name, error=str(error),
        )  # fmt: skip
        now = self._ways.clock.seconds()
        if isinstance(error, MalformedRequest):
            self._ways.intermediates.note_too_old(relay.id, now)
        else:
            self._ways.intermediates.note_failure(relay.id, now)

    async def _read(
        self, relay: Node, request: Request, left: dict[int, Node], silence: Silence, deadline: float
    ) -> None:
        reply = await self._ways.through(relay, request)
        silence.heard()
        if reply.code != BLOCK or reply.rows is None:
            kind = MalformedRequest if reply.code == MalformedRequest.code else MalformedReply
            raise kind(f"it answers {reply.code} {reply.text[:200]}")
        reader, counted, rows = BranchReader(frozenset(left), MAX_LINES_PER_NODE), _Counted(self), reply.rows
        try:
            async for some in rows:
                silence.heard()
                for node, lines, _why in reader.feed(some):
                    found = left.pop(node)
                    if lines is None:
                        self._begin(self._direct(found, deadline))
                    else:
                        self._answered(node, lines)
                counted.set(reader.held)
        finally:
            counted.end()
            await rows.aclose()


class _Counted:
    """What one answer adds to `TreeFanOut.held`."""

    def __init__(self, whole: TreeFanOut) -> None:
        self._whole = whole
        self._held = 0

    def add(self, more: int) -> None:
        """:raises GomdError: it is too much."""
        self.set(self._held + more)

    def set(self, held: int) -> None:
        """:raises GomdError: it is too much."""
        self._whole.held += held - self._held
        self._held = held
        if held > MAX_ANSWER:
            raise TooMany(f"more than {MAX_ANSWER >> 20} MiB: ask this node alone")
        self._whole._grown()

    def end(self) -> None:
        """Count it no more."""
        self._whole.held -= self._held
        self._held = 0


class HeldPlace:
    """Holds a place of a semaphore for the time of a block."""

    def __init__(self, places: DeferredSemaphore) -> None:
        self._places = places

    async def __aenter__(self) -> None:
        await self._places.acquire()

    async def __aexit__(self, *_error: object) -> None:
        self._places.release()
