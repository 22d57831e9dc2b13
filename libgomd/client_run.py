"""The part of the Deferred client that runs jobs: opens a connection for each and makes a `RunningJob`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from weakref import WeakSet

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from libgomd import calls
from libgomd.client_job import RunningJob
from libgomd.connection import LineConnection, WholeReply
from libgomd.errors import MalformedRequest
from libgomd.jobsession import RECONNECT_LIMIT
from libgomd.jobspec import DEFAULT_SIZE, job_spec
from libgomd.replies import check
from libgomd.streams import in_time, returns_deferred
from libgomd.wire.lines import FRAMES, Request


class RunsJobs:
    """
    The part of `libgomd.client.Client` that runs jobs.

    :param timeout: seconds for connections and answers, and for a job to begin.
    """

    def __init__(self, clock: IReactorTime, timeout: float) -> None:
        self._clock = clock
        self._timeout = timeout
        self._jobs: WeakSet[RunningJob] = WeakSet()

    @abstractmethod
    async def _open_stream(self) -> LineConnection:
        """Return one more connection, greeted and authenticated."""

    def _close_jobs(self) -> None:
        for job in tuple(self._jobs):
            job.close()

    @returns_deferred
    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        umask: int | None = None,
        node: calls.NodeKey = "",
        nodes: str = "",
        memory: int | None = None,
        memory_max: int | None = None,
        shared_tmp: bool = False,
        lock: bool | None = None,
        merge: bool = False,
        detach: bool = False,
        tty: bool = False,
        size: tuple[int, int] = DEFAULT_SIZE,
        carry: Sequence[str] = (),
        stdin: bytes | None = None,
        timeout: float | None = None,
        reconnect: float = RECONNECT_LIMIT,
        nice: int | None = None,
        limits: Mapping[str, tuple[int, int]] | None = None,
    ) -> RunningJob:
        """
        Run a command here or on another node; fires with a `RunningJob` when it has begun. No shell reads it.

        :param argv: the command and its arguments; the command is looked for in PATH of ``env``.
        :param cwd, env, umask: its surroundings; those of this process unless said.
        :param node: the node it is to run on. :param nodes: ids such as ``1-4,7``: the best one of these.
        :param memory: bytes it will need. :param memory_max: bytes it may have, the kernel sees to it.
        :param shared_tmp: it sees the /tmp of its node and has none of its own.
        :param lock: whether balancing leaves it where it is. :param merge: its errors go into its output.
        :param detach: it goes on alone; the streams of what this returns are closed, `attach` has them.
        :param tty: it gets a terminal, of ``size`` rows and columns.
        :param carry: files and directories that travel with it wherever it runs, and come home at its end.
        :param stdin: all of its standard input; without it, it is open for `RunningJob.write`.
        :param timeout: seconds for it to begin, and for what a daemon owes at once; the client's unless said.
        :param reconnect: seconds to go on trying when the daemon goes away under it; 0 for not at all.
        :param nice: its nice value, only root's below 0; that of this process unless said.
        :param limits: soft and hard resource limits, -1 for none, by names such as ``NOFILE``, within those
            of its node; those of this process unless said, ``{}`` for those that its node gives.
        :raises MalformedRequest: no daemon would take that.
        :raises NotFound: there is no such command (``code`` 127), node or directory.
        :raises NotPossible: it cannot be executed (``code`` 126), or no node can take it.
        :raises TimedOut: it has not begun in time. Other errors as for a call. Cancelling gives it up: a job
            that has begun meanwhile ends, unless it is a detached one.
        """
        if detach and stdin is not None:
            raise MalformedRequest("a detached job has no standard input: leave stdin out")
        spec = job_spec(
            argv, cwd=cwd, env=env, umask=umask, tty=tty, size=size, merge=merge, detach=detach, node=node,
            nodes=nodes, lock=lock, memory=memory, memory_max=memory_max, nice=nice, limits=limits,
            shared_tmp=shared_tmp,
            carry=carry,
        )  # fmt: skip
        first = spec.frame()
        job = await self._streams_of_a_job(Request("run"), first, timeout, reconnect)
        if detach:
            job.leave()
        elif stdin is not None:
            job.feed(stdin)
        return job

    @returns_deferred
    async def attach(
        self, job: int, *, timeout: float | None = None, reconnect: float = RECONNECT_LIMIT
    ) -> RunningJob:
        """
        Take up the streams of a job of the caller's: of a detached one from the oldest output that is kept.

        Fires with a `RunningJob`. Leaving a detached job lets it go on. Parameters as for `run`.

        :raises NotFound: there is no such job, or nothing of it is kept.
        :raises Conflict: somebody is attached to it.
        """
        return await self._streams_of_a_job(Request("attach", (str(job),)), b"", timeout, reconnect)

    async def _streams_of_a_job(
        self, request: Request, first: bytes, timeout: float | None, reconnect: float
    ) -> RunningJob:
        limit = self._timeout if timeout is None else timeout
        connection = await self._open_frames(request, limit)
        job = RunningJob(self._clock, self._open_frames, timeout=limit, reconnect=reconnect)
        self._jobs.add(job)
        job.join(connection, first)
        await job.begun(limit)
        return job

    async def _open_frames(self, request: Request, limit: float) -> LineConnection:
        """
        Return a connection that carries frames behind the answer to ``request``, within ``limit`` seconds.
        """
        connection = await in_time(
            self._clock, limit, Deferred.fromCoroutine(self._open_stream()), "the connection"
        )
        answer = WholeReply()
        try:
            connection.send(request, answer)
            reply = await in_time(self._clock, limit, answer.done, f"the answer to {request.verb}")
            check(reply, FRAMES, request)
        except BaseException:
            connection.abort()
            raise
        return connection
