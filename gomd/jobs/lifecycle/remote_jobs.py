"""Connects to the jobs of this home on other nodes, and reports them lost when their node is gone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from gomd.interfaces import IMembership, IPeers
from gomd.jobs.home.changes import JobChanges
from gomd.jobs.lifecycle.frame_stream import FrameStream
from libgomd.errors import Conflict, GomdError, NotAllowed, NotFound
from libgomd.model import Caller, Job, Node, Role
from libgomd.wire import frames
from libgomd.wire.frames import Frame
from libgomd.wire.lines import Request

#: Seconds that a node may be down before its jobs are lost.
DOWN_TIMEOUT = 15.0
#: Seconds that a node may be up but unreachable before its jobs are lost.
UNREACHED_TIMEOUT = 60.0
#: Seconds between two attempts to connect to a job; a job that moves meanwhile is tried at once.
RETRY_INTERVAL = 0.5
#: Seconds for which a node has to say that it has not the job. A daemon that stops says so, too, in older
#: versions, and the next one finds the job again.
MISSING_TIMEOUT = 5.0
#: Seconds between two attempts to end what still runs of a lost job, and seconds until they are given up.
LEFTOVER_RETRY_INTERVAL = 10.0
LEFTOVER_TIMEOUT = 86400.0
_KILL = 9
#: Maximum number of concurrent searches for jobs: after a start of the daemon there may be thousands.
_MAX_CONCURRENT_SEARCHES = 32


class RemoteJobs:
    """
    Starts jobs on other nodes, finds them again, and ends what is left of lost ones.

    Connecting to another node is retried at fixed intervals and up to a timeout, as nothing on this node can
    tell when that node answers again.

    :param running: returns whether the daemon still runs. :param changes: tells when a job has moved.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        members: IMembership,
        peers: IPeers,
        running: Callable[[], bool],
        changes: JobChanges,
    ) -> None:
        self._clock = clock
        self._members = members
        self._peers = peers
        self._running = running
        self._changes = changes
        self._turns = DeferredSemaphore(_MAX_CONCURRENT_SEARCHES)

    async def start(
        self, node: Node, name: str, values: dict[str, Any], caller: Caller, ready: Deferred[None]
    ) -> FrameStream:
        """
        Start a job on ``node``. The returned stream reports the outcome.

        :param ready: fires when the job may be started; the stream is opened meanwhile. A failure is raised.
        :raises GomdError: the node cannot be reached, or it refused.
        """
        try:
            stream = await self._open(node, Request("run", (name,)), caller)
        except BaseException:
            ready.addErrback(lambda _failure: None)  # that the node cannot be reached is told instead
            raise
        try:
            await ready
        except BaseException:
            stream.close()
            raise
        stream.send(frames.encode_json(frames.SPEC, values))
        return stream

    async def _open(self, node: Node, request: Request, caller: Caller) -> FrameStream:
        stream = await self._peers.open(node, request, caller)
        assert isinstance(stream, FrameStream)
        return stream

    async def find(self, job: Job, newest: Callable[[], Job]) -> FrameStream | str:
        """
        Return a new connection to a job, or why it is lost.

        The search ends when the node has been down for `DOWN_TIMEOUT`, or unreachable for
        `UNREACHED_TIMEOUT`.

        :param newest: returns the current entry of the job, which may move during the search.
        """
        begun = down_since = self._clock.seconds()
        missing_since: float | None = None
        while self._running():
            moved, job = job, newest()
            if moved.node != job.node:
                begun = down_since = self._clock.seconds()
                missing_since = None
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
                if newest().node != job.node:
                    continue
                if missing_since is None:
                    missing_since = self._clock.seconds()
                elif self._clock.seconds() - missing_since >= MISSING_TIMEOUT:
                    return f"node {job.node} {node.name if node else ''} has it no more: {error}"
                why = str(error)
            except Conflict as error:  # it is being moved, or has moved: `newest` will tell its node
                begun, missing_since = self._clock.seconds(), None
                why = str(error)
            except GomdError as error:
                missing_since, why = None, str(error)
            now = self._clock.seconds()
            if node is not None and node.up:
                down_since = now
            name = f"node {job.node} {node.name}" if node is not None else f"node {job.node}"
            if now - down_since >= DOWN_TIMEOUT:
                return f"{name} went down"
            if now - begun >= UNREACHED_TIMEOUT:
                return f"{name} cannot be reached: {why}"
            await self._changes.until(job.job, partial(_has_moved, job, newest), RETRY_INTERVAL)
        return "gomd stops"

    def _node(self, node_id: int) -> Node | None:
        try:
            return self._members.find(str(node_id))
        except NotFound:
            return None

    async def end_leftover(self, job: Job) -> None:
        """End what may still run of a lost job, if its node comes back within `LEFTOVER_TIMEOUT`."""
        end = self._clock.seconds() + LEFTOVER_TIMEOUT
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
            await deferLater(self._clock, LEFTOVER_RETRY_INTERVAL)

    def _end(self, stream: FrameStream, job: Job) -> None:
        self._log.warn(
            "node {node} is back and still runs lost job {job}: ending it", node=job.node, job=job.job
        )

        def take(frame: Frame) -> None:
            if frame.kind == frames.EXIT:
                stream.send(frames.encode(frames.COLLECTED))
                stream.close()

        stream.listen(take)
        stream.send(frames.encode_signal(_KILL, True))


def _has_moved(job: Job, newest: Callable[[], Job]) -> bool:
    return newest().node != job.node


def owner_of(job: Job) -> Caller:
    """Return the identity with which this home asks other nodes about ``job`` without a caller."""
    return Caller(Role.ADMIN if job.uid == 0 else Role.USER, job.user, job.uid, "home")
