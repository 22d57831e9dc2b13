"""
Keeps the busiest processes of two other nodes, so that a dead node's "which process did it" has an answer.

Theory of operation. The nodes that are up form a ring by their ids. Once a minute each node asks the two
before it for their busiest processes and keeps what they say: every node is remembered by the two behind it.
Nothing is kept of what nobody asked for: no node can fill another one's history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.interfaces import IMembership, IPeers, ISampleLog, IThreads, RememberedTable
from gomd.verbs.busiest import HIDDEN_WORDS
from libgomd.deadlines import within
from libgomd.errors import GomdError, MalformedReply, TimedOut
from libgomd.model import Caller, Node, Process, Role
from libgomd.shared_wakeups import SharedWakeups
from libgomd.wallclock import Wall
from libgomd.wire.lines import BLOCK, Request
from libgomd.wire.values import decode, loads

#: Seconds from question to question, and until the first one; and that an answer may take.
ASK_PERIOD: Final = 60.0
FIRST_DELAY: Final = 15.0
ANSWER_TIMEOUT: Final = 10.0
#: Number of nodes that each node remembers, and rows that are taken of one answer.
REMEMBERED_NODES: Final = 2
MAX_ROWS: Final = 50
_ASKER: Final = Caller(Role.ADMIN, "", None, "history")


def before(own_id: int, nodes: Sequence[Node], count: int = REMEMBERED_NODES) -> list[Node]:
    """Return the ``count`` nodes that are up and stand before ``own_id`` in the ring, nearest first."""
    others = sorted((node for node in nodes if node.up and node.id != own_id), key=lambda node: -node.id)
    lower = [node for node in others if node.id < own_id]
    higher = [node for node in others if node.id > own_id]
    return [*lower, *higher][:count]


class Remembering(Service):
    """Asks other nodes periodically and writes what they answer to ``history``."""

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        history: ISampleLog,
        members: IMembership,
        peers: IPeers,
        threads: IThreads,
        clock: IReactorTime,
        wall: Wall,
    ) -> None:
        self._history = history
        self._members = members
        self._peers = peers
        self._threads = threads
        self._clock = clock
        self._wall = wall
        self._asking: Deferred[None] | None = None
        self._first: Any = None
        self._loop = LoopingCall(self._start)
        self._loop.clock = SharedWakeups(clock)

    def startService(self) -> None:
        """Ask soon, and periodically from then on."""
        super().startService()
        self._first = self._clock.callLater(FIRST_DELAY, self._begin)

    def _begin(self) -> None:
        self._first = None
        self._loop.start(ASK_PERIOD, now=True)

    def stopService(self) -> None:
        """Ask nothing more; a question under way is given up."""
        super().stopService()
        if self._first is not None:
            self._first.cancel()
            self._first = None
        if self._loop.running:
            self._loop.stop()
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()

    def _start(self) -> None:
        """Begin a round, unless the last one still runs. Never raises."""
        if self._asking is not None:
            return
        self._asking = asking = Deferred.fromCoroutine(self.ask())

        def over(result: object) -> None:
            self._asking = None

        asking.addErrback(
            lambda failure: (
                None
                if failure.check(CancelledError)
                else self._log.failure("asking other nodes for their processes failed", failure=failure)
            )
        )
        asking.addBoth(over)

    async def ask(self) -> None:
        """Ask the nodes before this one, one after the other."""
        for node in before(int(self._members.own_id), self._members.nodes()):
            asked = Deferred.fromCoroutine(self._ask_one(node))
            late = TimedOut(f"node {node.id} did not answer within {ANSWER_TIMEOUT:g} s")
            try:
                table = await within(self._clock, ANSWER_TIMEOUT, asked, late)
            except GomdError as error:
                self._log.debug("node {node} told no processes: {error}", node=node.id, error=error)
                continue
            if not table.processes:
                continue
            if self._history.blocks:
                await self._threads.run(ANSWER_TIMEOUT, self._history.write_remembered, table)
            else:
                self._history.write_remembered(table)

    async def _ask_one(self, node: Node) -> RememberedTable:
        code, text, rows = await self._peers.ask(node, Request("busiest"), _ASKER, True)
        if code != BLOCK or rows is None:
            raise MalformedReply(f"{code} {text}")
        processes: list[Process] = []
        in_jobs: set[str] = set()
        try:
            async for lines in rows:
                for line in lines:
                    said = loads(line)
                    process = decode(Process, said)
                    if process.node == node.id and len(processes) < MAX_ROWS:
                        processes.append(process)
                        if said.get("in_job"):
                            in_jobs.add(process.identity)
        finally:
            await rows.aclose()
        return RememberedTable(
            node.id, int(self._members.own_id), self._wall(), HIDDEN_WORDS in text, processes,
            frozenset(in_jobs),
        )  # fmt: skip
