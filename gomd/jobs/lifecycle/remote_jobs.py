"""The jobs of this home on other nodes: reached, found again, and given up when their node is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from gomd.interfaces import IMembership, IPeers
from gomd.jobs.lifecycle.frame_stream import FrameStream
from libgomd.errors import Conflict, GomdError, NotAllowed, NotFound
from libgomd.model import Caller, Job, Node, Role
from libgomd.wire import frames
from libgomd.wire.frames import Frame
from libgomd.wire.lines import Request

#: Seconds a node may be down, and seconds it may be up and not be reached, before its jobs are lost.
DOWN_LIMIT = 15.0
UNREACHED_LIMIT = 60.0
#: Seconds between two attempts, and between two to end what was given up already.
AGAIN = 0.5
GHOST_AGAIN = 10.0
#: Seconds after which a node that was given up is not asked any more.
GHOST_LIMIT = 86400.0
_KILL = 9
#: Jobs that are asked for at the same time: after a start there may be thousands.
_FOUND_AT_ONCE = 32


class RemoteJobs:
    """
    :param running: tells whether the daemon still runs.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self, clock: IReactorTime, members: IMembership, peers: IPeers, running: Callable[[], bool]
    ) -> None:
        self._clock = clock
        self._members = members
        self._peers = peers
        self._running = running
        self._turns = DeferredSemaphore(_FOUND_AT_ONCE)

    async def start(self, node: Node, name: str, values: dict[str, Any], caller: Caller) -> FrameStream:
        """
        Start a job on ``node``; the stream tells what came of it.

        :raises GomdError: the node cannot be reached, or said no.
        """
        stream = await self._open(node, Request("run", (name,)), caller)
        stream.send(frames.encode_json(frames.SPEC, values))
        return stream

    async def _open(self, node: Node, request: Request, caller: Caller) -> FrameStream:
        stream = await self._peers.open(node, request, caller)
        assert isinstance(stream, FrameStream)
        return stream

    async def find(self, job: Job, newest: Callable[[], Job] | None = None) -> FrameStream | str:
        """
        Return a new connection to a job, or why it is lost, once that is certain enough.

        A node that is down, or that cannot be reached, gets some time to come back.

        :param newest: tells where the job is by now: it may move while it is looked for.
        """
        begun = down_since = self._clock.seconds()
        while self._running():
            moved, job = job, newest() if newest is not None else job
            if moved.node != job.node:
                begun = down_since = self._clock.seconds()
            node, why = self._node(job.node), "it is not known any more"
            try:
                if node is not None:
                    asked = self._clock.seconds()
                    await self._turns.acquire()
                    waited = self._clock.seconds() - asked
                    begun, down_since = begun + waited, down_since + waited
                    try:
                        return await self._open(node, Request("attach", (job.name,)), owner_of(job))
                    finally:
                        self._turns.release()
            except (NotFound, NotAllowed) as error:
                if newest is None or newest().node == job.node:
                    return f"node {job.node} {node.name if node else ''} has it no more: {error}"
                continue
            except Conflict as error:  # it is being moved, or was moved: who has it will tell
                begun = self._clock.seconds()
                why = str(error)
            except GomdError as error:
                why = str(error)
            now = self._clock.seconds()
            if node is not None and node.up:
                down_since = now
            name = f"node {job.node} {node.name}" if node is not None else f"node {job.node}"
            if now - down_since >= DOWN_LIMIT:
                return f"{name} went down"
            if now - begun >= UNREACHED_LIMIT:
                return f"{name} cannot be reached: {why}"
            await deferLater(self._clock, AGAIN)
        return "gomd stops"

    def _node(self, node_id: int) -> Node | None:
        try:
            return self._members.find(str(node_id))
        except NotFound:
            return None

    async def bury(self, job: Job) -> None:
        """End what may still run of a job that was given up, should its node come back."""
        end = self._clock.seconds() + GHOST_LIMIT
        while self._running() and self._clock.seconds() < end:
            node = self._node(job.node)
            try:
                if node is not None and node.up:
                    self._end(await self._open(node, Request("attach", (job.name,)), owner_of(job)), job)
                    return
            except (NotFound, NotAllowed):
                return
            except GomdError:
                pass
            await deferLater(self._clock, GHOST_AGAIN)

    def _end(self, stream: FrameStream, job: Job) -> None:
        self._log.warn(
            "node {node} is back and still runs lost job {job}: ending it", node=job.node, job=job.job
        )

        def take(frame: Frame) -> None:
            if frame.kind == frames.EXIT:
                stream.send(frames.encode(frames.COLLECTED))
                stream.close()

        stream.on_frame = take
        stream.send(frames.encode_signal(_KILL, True))


def owner_of(job: Job) -> Caller:
    """Return whom this home asks for when it asks for ``job`` by itself."""
    return Caller(Role.ADMIN if job.uid == 0 else Role.USER, job.user, job.uid, "home")
