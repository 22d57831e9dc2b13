"""The supervisors of the jobs on this node, and the directory in the spool that each job has."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, Final, TypeVar

from twisted.logger import Logger

from gomd.jobs.checkpoint.remove_tree import remove_tree
from gomd.jobs.lifecycle.forkserver_client import ForkServerClient
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.request import Account, JobRequest
from gomd.jobs.supervisor.cgroups import PLAIN, UNIFIED, Place, sweep
from libgomd.durable import replace_atomically
from libgomd.errors import MalformedJobName, NotPossible
from libgomd.private import open_private
from libgomd.wire import frames, job_messages
from libgomd.wire.carry_messages import CarrySpec
from libgomd.wire.job_messages import JobExit, JobReport, SpawnSpec, ViewSpec
from libgomd.wire.job_name import JobName
from libgomd.wire.job_orders import AwaitOrder

T = TypeVar("T", JobReport, JobExit)

#: What says that there is no supervisor: no socket, or nobody listens.
GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED, errno.ELOOP, errno.ENOTSOCK})
#: Bytes of a file that are read: one holds the arguments of its job.
_MAX_FILE_BYTES: Final = 8 * 1024 * 1024
#: What opening a file says that is not there, or is none.
_NEVER_WRITTEN: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.EPERM})


class Supervisors:
    """
    :param spool: the directory of the jobs' directories. :param spool_bytes: output that is kept of a
        detached job, of each of its two streams.
    :ivar namespaces: jobs get namespaces of their own.
    :param where: this node, as errors name it: ``node 3 gamma``.
    :param spool_reserve: bytes of the disk that output leaves free, see
        `gomd.jobs.supervisor.file_store.free_of`.
    :param find_place: finds where the cgroups of jobs can be; None: jobs get none.
    :param private_tmp: bytes of its own temporary files with which a job can move; 0: no job has its own.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        fork_server: ForkServerClient,
        spool: str,
        spool_bytes: int,
        namespaces: bool,
        where: str,
        find_place: Callable[[], Place] | None = None,
        spool_reserve: int = 0,
        private_tmp: int = 0,
    ) -> None:
        self._fork_server = fork_server
        self.spool = spool
        self.spool_bytes = spool_bytes
        self.spool_reserve = spool_reserve
        self._private_tmp = private_tmp
        self.namespaces = namespaces
        self.where = where
        self._find_place = find_place
        self._place = Place("", PLAIN, "there are no cgroups for jobs")

    def open(self) -> None:
        """Find the place for cgroups and remove those that a killed daemon has left. Blocks briefly."""
        if self._find_place is not None:
            self._place = self._find_place()
            self.sweep()

    def sweep(self) -> None:
        """Remove the cgroups of jobs that are no more. Blocks briefly."""
        if self._place.parent:
            sweep(self._place.parent)

    @property
    def no_limit(self) -> str:
        """Why a job's memory cannot be limited here, a clause; empty when it can."""
        return self._place.why_not

    @property
    def is_ready(self) -> bool:
        """Whether starting a job needs nothing of the disk here; its supervisor does."""
        return self._fork_server.is_ready

    def prepare(self) -> None:
        """Get ready. Blocks, as long as the disk of the spool does. See `ForkServerClient.prepare`."""
        self._fork_server.prepare()

    def keep_spare(self) -> None:
        """Have a supervisor ready for the next job, see `ForkServerClient.keep_spare`."""
        self._fork_server.keep_spare(self.namespaces)

    def check_limit(self, memory_max: int | None) -> None:
        """Check whether a job can have that memory limit. :raises NotPossible: it cannot."""
        if memory_max is not None and self._place.why_not:
            raise NotPossible(
                f"the memory of a job cannot be limited on {self.where}: {self._place.why_not}; "
                "leave --mem-max out, or run it on another node"
            )

    def directory(self, name: str) -> str:
        """Return the directory of the job ``name``."""
        return os.path.join(self.spool, name)

    def start(
        self,
        name: str,
        request: JobRequest,
        account: Account,
        detach: bool,
        now: float,
        identity: str = "",
    ) -> FrameStream:
        """
        Start a job; its supervisor tells what came of it.

        :param detach: its output is kept here. :param now: seconds since the epoch.
        :param identity: of its first process; empty for a job of this home, which gets it as it begins.
        :raises InternalError: there can be no supervisor.
        :raises NotPossible: its memory cannot be limited.
        """
        self.check_limit(request.memory_max)
        return self._send(
            SpawnSpec(
                name, self.directory(name), self.where, self.spool_bytes, request.argv, request.env,
                request.cwd, request.umask, account.uid, account.gid, account.groups, account.user,
                request.tty, request.size, request.merge, detach, bool(request.lock),
                memory_max=request.memory_max, cgroup=self._place[:2], spool_reserve=self.spool_reserve,
                began=now,
                nice=request.nice or 0,
                limits=request.limits,
                private_tmp=0 if request.shared_tmp else self._private_tmp,
                carry=request.carry,
                identity=identity,
                attach=None if detach else request.attach,
            ),
            self.namespaces,
        )  # fmt: skip

    def _send(self, spec: SpawnSpec | ViewSpec | CarrySpec, namespaces: bool) -> FrameStream:
        stream = self._fork_server.supervisor(namespaces)
        stream.send(job_messages.encode(spec))
        return stream

    def await_copy(self, name: str) -> FrameStream:
        """
        Return the connection to a new supervisor that gets ready for a job that is about to come here.

        Give it to `restore`, or close it. :raises InternalError: there can be no supervisor.
        """
        stream = self._fork_server.supervisor(self.namespaces)
        stream.send(job_messages.encode(AwaitOrder(name, self._place[:2])))
        return stream

    def restore(
        self,
        name: str,
        images: str,
        criu: str,
        *,
        waiting: FrameStream | None = None,
        detach: bool,
        lock: bool,
        nmigs: int,
        pid_at_home: int | None = None,
        uid: int | None = None,
        identity: str = "",
    ) -> FrameStream:
        """
        Restore a job, frozen, from its images; its supervisor tells what came of it.

        Until then, closing the connection cancels the restore.

        :param images: their directory. :param criu: the program. :param detach: its output is kept here.
        :param pid_at_home: its process id at its home, None when it never was a process there.
        :param uid: user for whom it was offered; a job of another user is refused.
        :param identity: of its first process; empty when it is not known.
        :param waiting: the connection to a supervisor that `await_copy` returned; None: there is none.
        :raises InternalError: there can be no supervisor.
        """
        spec = SpawnSpec(
            name, self.directory(name), self.where, self.spool_bytes, detach=detach, lock=lock,
            nmigs=nmigs, cgroup=self._place[:2], spool_reserve=self.spool_reserve, images=images,
            criu=criu, pid_at_home=pid_at_home, expected_uid=uid, private_tmp=self._private_tmp,
            identity=identity,
        )  # fmt: skip
        if waiting is None or waiting.gone:
            return self._send(spec, self.namespaces)
        waiting.send(job_messages.encode(spec))
        return waiting

    def connect(self, name: str) -> FrameStream:
        """
        Return a new connection to the supervisor of a job.

        :raises OSError: there is none (one of `GONE`), or it cannot be asked now.
        """
        return self._fork_server.connect(os.path.join(self.directory(name), "socket"))

    def carry(self, spec: CarrySpec) -> FrameStream:
        """Return a process that does one step with the files that a job carries along."""
        return self._send(spec, namespaces=False)

    def view(self, name: str) -> FrameStream:
        """Return a supervisor that shows what is kept of a job's output."""
        return self._send(ViewSpec(self.directory(name), self.spool_bytes), namespaces=False)

    def read_running(self, name: str) -> JobReport | None:
        """
        Return how a supervisor has described its running job, None when it has not. Blocks briefly.

        :raises OSError: it is there and cannot be read now.
        """
        return self._decode(JobReport, name, "job")

    def read_exit(self, name: str) -> JobExit | None:
        """
        Return what a supervisor has written about the end of its job, None when it has not. Blocks briefly.

        :raises OSError: it is there and cannot be read now.
        """
        return self._decode(JobExit, name, "exit")

    def write_exit(self, name: str, exit: JobExit) -> None:
        """Write anew how a detached job has ended, for later callers. Blocks; a full disk is no error."""
        data = json.dumps(job_messages.to_json(exit)).encode("ascii")
        with suppress(OSError):
            replace_atomically(os.path.join(self.directory(name), "exit"), data)

    def _decode(self, kind: type[T], name: str, file: str) -> T | None:
        told = self.read(name, file)
        if told is None:
            return None
        try:
            return job_messages.from_json(kind, told)
        except frames.MalformedFrame as error:
            path = os.path.join(self.directory(name), file)
            self._log.error("{path} is damaged and taken for missing: {error}", path=path, error=error)
            return None

    def read(self, name: str, file: str) -> dict[str, Any] | None:
        """
        Return what a supervisor wrote into the directory of its job, None when it did not. Blocks briefly.

        What is damaged is said, and is as if it had never been written.

        :raises OSError: it is there and cannot be read now.
        """
        path = os.path.join(self.directory(name), file)
        try:
            with open(open_private(path), "rb") as opened:
                data = opened.read(_MAX_FILE_BYTES)
        except OSError as error:
            if error.errno in _NEVER_WRITTEN:
                return None
            raise
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            self._log.error("{path} is damaged: it is taken for missing", path=path)
            return None
        return found

    def names(self) -> list[JobName]:
        """
        Return the name of every job that has a directory here, in order. Blocks briefly.

        :raises OSError: there is a spool and it cannot be read.
        """
        try:
            names = os.listdir(self.spool)
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            with suppress(MalformedJobName):  # other files lie in the spool too
                found.append(JobName.parse(name))
        return sorted(found)

    def remove(self, name: str) -> None:
        """Remove the directory of a job. Blocks."""
        with suppress(OSError):  # its job may have temporary files there: nothing of the user's is followed
            remove_tree(self.directory(name))

    def close(self) -> None:
        """Let the fork server end; supervisors go on."""
        self._fork_server.close()
        if self._place.parent and self._place.kind != UNIFIED:  # that one could not be made again as it is
            with suppress(OSError):  # there are jobs in it
                os.rmdir(self._place.parent)
