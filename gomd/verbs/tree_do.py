"""
`@NODES do NAME`: a command of `[commands]` on many nodes, most of which are asked through others.

The lines of all nodes come as they are printed. A command must not run twice on a node, so a branch is asked
again only while it is certain that its relay has begun nothing: it could not be reached, does not know the
verb, or refuses. When a relay is lost later, its nodes that have not ended are named with that reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore

from gomd.verbs import rendering
from gomd.verbs.branch_rows import ALIVE, parse_row
from gomd.verbs.branches import MAX_SECONDS, RELAY, BranchRequest, divide
from gomd.verbs.tree_fan_out import MAX_RELAYS, SILENCE_TIMEOUT, HeldPlace, Ways
from libgomd.deadlines import Silence, within
from libgomd.errors import GomdError, MalformedReply, PeerUnreachable, TimedOut, error_for
from libgomd.model import Node
from libgomd.wire.lines import BLOCK, Request

#: Lines that wait for the caller to read them; beyond that the commands wait, too.
MAX_WAITING: Final = 2000
#: Seconds within which a node must say that it can relay.
CHECK_TIMEOUT: Final = 6.0

#: Makes the lines of an answer of what a node printed: ``(node, lines, whether that is all)``.
Mark = Callable[[Node, Sequence[str], bool], list[str]]
#: Makes them of why it has printed nothing, or no more.
MarkFailure = Callable[[Node, GomdError], list[str]]


class TreeDo:
    """One command on many nodes. :param mark: see `Mark`. :param mark_failure: see `MarkFailure`."""

    def __init__(self, ways: Ways, request: Request, json: bool, mark: Mark, failed: MarkFailure) -> None:
        self._ways = ways
        self._request = request
        self._json = json
        self._mark = mark
        self._mark_failure = failed
        self._places = DeferredSemaphore(ways.fan_out)
        self._tasks: set[Deferred[None]] = set()
        self._lines: deque[list[str]] = deque()
        self._count = 0
        self._wakeup: Deferred[None] | None = None
        self._blocked: list[Deferred[None]] = []
        self._error: BaseException | None = None
        self._depth = 0

    async def pieces(self, nodes: Sequence[Node], depth: int) -> AsyncGenerator[Sequence[str], None]:
        """Run the command on ``nodes`` and yield the lines as they come. Closing it ends the commands."""
        ways, self._depth = self._ways, depth
        others = [node for node in nodes if node.id != ways.own]
        try:
            for node in nodes:
                if node.id == ways.own:
                    self._begin(self._ask(node))
            if len(others) <= ways.fan_out or depth < 1:
                for node in others:
                    self._begin(self._direct(node))
            else:
                for part in divide(others, ways.fan_out):
                    self._begin(self._branch({node.id: node for node in part}))
            while self._lines or self._tasks:
                if self._error is not None:
                    raise self._error
                if not self._lines:
                    self._wakeup = Deferred()
                    await self._wakeup
                    continue
                some = self._lines.popleft()
                self._count -= len(some)
                blocked, self._blocked = self._blocked, []
                for each in blocked:
                    each.callback(None)
                yield some
        finally:
            for task in tuple(self._tasks):
                task.cancel()

    def say(self, lines: list[str]) -> None:
        """Add lines that are of no node."""
        if not self._lines:
            self._lines.append(lines)
            self._count += len(lines)
            self._wake()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task: Deferred[None] = Deferred.fromCoroutine(work)
        self._tasks.add(task)

        def done(result: Any) -> None:
            self._tasks.discard(task)
            error = getattr(result, "value", None)
            if error is not None and not isinstance(error, CancelledError):
                self._error = self._error or error
            self._wake()

        task.addBoth(done)

    def _wake(self) -> None:
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None:
            wakeup.callback(None)

    async def _tell(self, lines: list[str]) -> None:
        """Hand lines to the caller; waits while the caller has many to read."""
        if lines:
            self._lines.append(lines)
            self._count += len(lines)
            self._wake()
        while self._count > MAX_WAITING:
            room: Deferred[None] = Deferred(self._blocked.remove)
            self._blocked.append(room)
            await room

    # -- one node

    async def _direct(self, node: Node) -> None:
        async with HeldPlace(self._places), HeldPlace(self._ways.gates[0]):
            await self._ask(node)

    async def _ask(self, node: Node) -> None:
        try:
            reply = await self._ways.ask(node)
            code, text = rendering.status_of(reply, self._json)
            if code != BLOCK:
                raise error_for(code, text) if code >= 400 else MalformedReply("it answered without output")
            pieces = rendering.pieces(reply, self._json)
            try:
                async for piece in pieces:
                    await self._tell(self._mark(node, list(piece), False))
            finally:
                await pieces.aclose()
            await self._tell(self._mark(node, [], True))
        except GomdError as error:
            await self._tell(self._mark_failure(node, error))

    # -- a branch

    async def _branch(self, left: dict[int, Node]) -> None:
        for _ in range(MAX_RELAYS):
            ways, now = self._ways, self._ways.clock.seconds()
            relay = ways.intermediates.choose(left.values(), ways.own, now) if len(left) > 1 else None
            if relay is None:
                break
            async with HeldPlace(self._places), HeldPlace(ways.gates[self._depth]):
                if await self._can_relay(relay) and await self._through(relay, left):
                    return
            ways.intermediates.note_failure(relay.id, ways.clock.seconds())
            self._begin(self._direct(left.pop(relay.id)))
        for node in left.values():
            self._begin(self._direct(node))

    async def _can_relay(self, node: Node) -> bool:
        """Ask whether a node is there and knows the verb: nothing has begun when it does not."""
        ways = self._ways
        asked = Deferred.fromCoroutine(_reply_of(ways.through(node, Request("help", (RELAY,)))))
        try:
            code = await within(ways.clock, CHECK_TIMEOUT, asked, TimedOut("no answer"))
        except GomdError:
            return False
        return code < 400

    async def _through(self, relay: Node, left: dict[int, Node]) -> bool:
        """Run the command through ``relay``; return whether it may have begun, however it ended then."""
        ways = self._ways
        ids = tuple(sorted(left.keys() - {relay.id}))
        request = BranchRequest(self._depth - 1, MAX_SECONDS, ids, self._request).as_request()
        silence = Silence(ways.clock, SILENCE_TIMEOUT)
        reading: Deferred[bool] = Deferred.fromCoroutine(self._read(relay, request, left, silence))
        silence.guard(reading)
        why = "it has left them out"
        try:
            if not await reading:
                return False
        except CancelledError:
            if not silence.is_too_long:
                raise
            why = f"it has said nothing for {silence.limit:g} s"
        except GomdError as error:
            why = str(error)
        finally:
            silence.stop()
        if left:
            ways.intermediates.note_failure(relay.id, ways.clock.seconds())
        for node in tuple(left.values()):
            lost = PeerUnreachable(
                f"it was asked by way of node {relay.id} {relay.name}, which was lost ({why[:200]}): "
                f"whether the command ran there, and how it ended, is not known"
            )
            await self._tell(self._mark_failure(node, lost))
        return True

    async def _read(self, relay: Node, request: Request, left: dict[int, Node], silence: Silence) -> bool:
        """Pass on what a relay sends; False when it has refused. Takes out of ``left`` what has ended."""
        reply = await self._ways.through(relay, request)
        silence.heard()
        if reply.code != BLOCK or reply.rows is None:
            return False
        rows, asked = reply.rows, dict(left)
        try:
            async for some in rows:
                for row in some:
                    silence.heard()
                    if row != ALIVE:
                        await self._take(asked, left, row)
        finally:
            await rows.aclose()
        return True

    async def _take(self, asked: dict[int, Node], left: dict[int, Node], row: str) -> None:
        number, kind, line = parse_row(row)
        node = left.get(number)
        if node is None:
            done = "more" if number in asked else "lines, about which it was not asked,"
            raise MalformedReply(f"it sends {done} of node {number}")
        if kind != "=":
            del left[number]
        if kind == "!":  # the relay has not asked it
            self._begin(self._direct(node))
        else:
            await self._tell(self._mark(node, [] if kind == "." else [line], kind != "="))


async def _reply_of(asked: Any) -> int:
    reply = await asked
    if reply.rows is not None:
        await reply.rows.aclose()
    return int(reply.code)
