"""The part of the Deferred client that runs jobs: opens a connection for each and makes a `RunningJob`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakSet

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from libgomd.client_job import RunningJob
from libgomd.connection import LineConnection, WholeReply
from libgomd.jobsession import RECONNECT_LIMIT
from libgomd.jobspec import JobOptions, JobSpec, job_to_run
from libgomd.replies import check
from libgomd.streams import in_time, returns_deferred
from libgomd.wire.lines import FRAMES, Request

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
        argv: JobSpec | Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        reconnect: float = RECONNECT_LIMIT,
        **options: Unpack[JobOptions],
    ) -> RunningJob:
        """
        Run a command here or on another node; fires with a `RunningJob` when it has begun. No shell reads it.

        :param argv: the command and its arguments; the command is looked for in PATH of ``env``. Or all of
            the job as one value, which `libgomd.jobspec.job_spec` makes, and then no ``options``.
        :param options: see `libgomd.jobspec.JobOptions`.
        :param stdin: all of its standard input; without it, it is open for `RunningJob.write`.
        :param timeout: seconds for it to begin, and for what a daemon owes at once; the client's unless said.
        :param reconnect: seconds to go on trying when the daemon goes away under it; 0 for not at all.
        :raises MalformedRequest: no daemon would take that.
        :raises NotFound: there is no such command (``code`` 127), node or directory.
        :raises NotPossible: it cannot be executed (``code`` 126), or no node can take it.
        :raises TimedOut: it has not begun in time. Other errors as for a call. Cancelling gives it up: a job
            that has begun meanwhile ends, unless it is a detached one.
        """
        spec = job_to_run(argv, stdin, options)
        job = await self._streams_of_a_job(Request("run"), spec.frame(), timeout, reconnect)
        if spec.detach:
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
